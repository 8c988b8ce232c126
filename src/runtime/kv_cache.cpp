#include "runtime/kv_cache.h"

#include <cstring>

#include "runtime/pipeline.h"

namespace pare {

int64_t cache_bytes_of_token(const ModelConfig& config, ComputeType compute) {
  int64_t values = 0;
  for (const BlockShape& block : config.blocks)
    if (block.value_head_dim > 0) values += config.kv_heads * (config.head_dim + block.value_head_dim);
  return row_bytes(narrow_cache(compute) ? Encoding::kBF16 : Encoding::kF32, values);
}

KvRows::KvRows(int64_t capacity, int64_t dim, ComputeType compute) {
  if (narrow_cache(compute))
    rows_ = Matrix<bf16>(capacity, dim);
  else
    rows_ = Matrix<float>(capacity, dim);
}

int64_t KvRows::capacity() const {
  return std::visit([](const auto& m) { return m.rows(); }, rows_);
}

int64_t KvRows::dim() const {
  return std::visit([](const auto& m) { return m.cols(); }, rows_);
}

int64_t KvRows::bytes() const {
  return std::visit([](const auto& m) { return m.size() * static_cast<int64_t>(sizeof(*m.data())); }, rows_);
}

void KvRows::set(int64_t row, const float* x) {
  if (auto* wide = std::get_if<Matrix<float>>(&rows_)) {
    std::memcpy(wide->row(row), x, static_cast<size_t>(wide->cols()) * sizeof(float));
    return;
  }
  auto& narrow = std::get<Matrix<bf16>>(rows_);
  for (int64_t i = 0; i < narrow.cols(); ++i) narrow(row, i) = to_bf16(x[i]);
}

KvLayer::KvLayer(const PackedAttention& attention, int64_t capacity) {
  for (int64_t h = 0; h < attention.kv_heads; ++h) {
    keys.emplace_back(capacity, attention.head_dim, attention.compute);
    values.emplace_back(capacity, attention.value_head_dim, attention.compute);
  }
}

int64_t KvLayer::bytes() const {
  int64_t total = 0;
  for (const KvRows& head : keys) total += head.bytes();
  for (const KvRows& head : values) total += head.bytes();
  return total;
}

std::vector<KvLayer> kv_of(const PackedStage& stage, int64_t sequences, int64_t capacity) {
  std::vector<KvLayer> kv;
  for (const auto& branch : stage.branches)
    if (const auto* attention = std::get_if<PackedAttention>(&branch))
      for (int64_t s = 0; s < sequences; ++s) kv.emplace_back(*attention, capacity);
  return kv;
}

KvCache::KvCache(const PackedModel& model, int64_t capacity) : capacity_(capacity) {
  for (const PackedStage& stage : model.stages) layers_.push_back(kv_of(stage, 1, capacity));
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
  int64_t total = 0;
  for (const auto& stage : layers_)
    for (const KvLayer& layer : stage) total += layer.bytes();
  return total;
}

}  // namespace pare
