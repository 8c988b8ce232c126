#include "kernels/kv_rows.h"

#include <cstring>

namespace pare {
namespace {

// Appends the heads of x (tokens, kv_heads·dim) at position `first`.
void append(MatrixView<const float> x, int64_t first, std::vector<KvRows>& heads) {
  for (size_t h = 0; h < heads.size(); ++h)
    for (int64_t t = 0; t < x.rows; ++t)
      heads[h].set(first + t, x.row(t) + static_cast<int64_t>(h) * heads[h].dim());
}

}  // namespace

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

HostKvStore::HostKvStore(const AttentionShape& shape, int64_t capacity) {
  for (int64_t h = 0; h < shape.kv_heads; ++h) {
    keys.emplace_back(capacity, shape.head_dim, shape.compute);
    values.emplace_back(capacity, shape.value_head_dim, shape.compute);
  }
}

int64_t HostKvStore::bytes() const {
  int64_t total = 0;
  for (const KvRows& head : keys) total += head.bytes();
  for (const KvRows& head : values) total += head.bytes();
  return total;
}

HostKvStore& host_store(const Segment& segment) {
  PARE_CHECK(segment.kv != nullptr);
  return dynamic_cast<HostKvStore&>(*segment.kv);
}

void append_to_stores(std::span<const Segment> segments, MatrixView<const float> k,
                      MatrixView<const float> v) {
  for (const Segment& segment : segments) {
    HostKvStore& store = host_store(segment);
    append(k.rows_of(segment.begin, segment.rows), segment.first, store.keys);
    append(v.rows_of(segment.begin, segment.rows), segment.first, store.values);
  }
}

}  // namespace pare
