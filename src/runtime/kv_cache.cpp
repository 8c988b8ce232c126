#include "runtime/kv_cache.h"

#include "runtime/pipeline.h"

namespace pare {

int64_t cache_bytes_of_token(const ModelConfig& config, ComputeType compute) {
  int64_t values = 0;
  for (const BlockShape& block : config.blocks)
    if (block.value_head_dim > 0) values += config.kv_heads * (config.head_dim + block.value_head_dim);
  return row_bytes(narrow_cache(compute) ? Encoding::kBF16 : Encoding::kF32, values);
}

KvStores kv_of(const PackedStage& stage, int64_t sequences, int64_t capacity) {
  KvStores kv;
  for (const auto& branch : stage.branches)
    if (const auto* attention = std::get_if<PackedAttention>(&branch))
      for (int64_t s = 0; s < sequences; ++s)
        kv.push_back(stage.backend->make_kv(attention->shape, capacity));
  return kv;
}

KvCache::KvCache(const PackedModel& model, int64_t capacity) : capacity_(capacity) {
  for (const PackedStage& stage : model.stages) layers_.push_back(kv_of(stage, 1, capacity));
  if (model.behind) remote_ = std::make_shared<RemoteCache>(model.behind);
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
  int64_t total = 0;
  for (const auto& stage : layers_)
    for (const auto& layer : stage) total += layer->bytes();
  return total;
}

}  // namespace pare
