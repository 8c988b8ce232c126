#include "model/kv_cache.h"

#include "model/pipeline.h"

namespace pare {

KvLayer::KvLayer(const PackedAttention& attention, int64_t capacity) {
  for (int64_t h = 0; h < attention.kv_heads; ++h) {
    keys.emplace_back(capacity, attention.head_dim);
    values.emplace_back(capacity, attention.value_head_dim);
  }
}

KvCache::KvCache(const PackedModel& model, int64_t capacity) : capacity_(capacity) {
  for (const PackedStage& stage : model.stages) {
    layers_.emplace_back();
    for (const auto& branch : stage.branches)
      if (const auto* attention = std::get_if<PackedAttention>(&branch))
        layers_.back().emplace_back(*attention, capacity);
  }
  if (model.rest) remote_ = std::make_shared<RemoteCache>(model.rest);
}

void KvCache::truncate(int64_t length) {
  PARE_CHECK(length >= 0 && length <= length_);
  length_ = length;
}

void KvCache::advance(int64_t tokens) {
  PARE_CHECK(length_ + tokens <= capacity_);
  length_ += tokens;
}

int64_t KvCache::bytes() const {
  int64_t values = 0;
  for (const auto& stage : layers_)
    for (const KvLayer& layer : stage) {
      for (const auto& m : layer.keys) values += m.size();
      for (const auto& m : layer.values) values += m.size();
    }
  return values * static_cast<int64_t>(sizeof(float));
}

}  // namespace pare
