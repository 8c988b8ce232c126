#include "kernels/host_backend.h"

#include "kernels/kv_rows.h"
#include "tensor/code_rows.h"

namespace pare {

ComputeType compute_of(const Weight& weight, ComputeType compute) {
  if (compute != ComputeType::kStored || code_format(weight)) return compute;
  return weight.format.encoding == Encoding::kInt8 ? ComputeType::kInt8 : ComputeType::kBF16;
}

std::vector<StackPart> parts_of(std::span<const Weight> stack, ComputeType compute) {
  std::vector<StackPart> parts;
  for (size_t i = 0; i < stack.size(); ++i) {
    const ComputeType own = compute_of(stack[i], compute);
    const bool alike = i > 0 && parts.back().compute == own &&
                       (own != ComputeType::kStored || code_format(stack[i]) == code_format(stack[i - 1]));
    if (!alike) parts.push_back({stack.subspan(i, 0), own});
    parts.back().weights = {parts.back().weights.data(), parts.back().weights.size() + 1};
  }
  return parts;
}

MatrixView<float> HostBackend::rows_of(const Activation& x) const {
  PARE_CHECK(&x.backend() == this);
  return x.address();
}

Activation HostBackend::allocate(int64_t rows, int64_t cols) const {
  return upload(Matrix<float>(rows, cols));
}

Activation HostBackend::upload(Matrix<float> x) const {
  auto owner = std::make_shared<Matrix<float>>(std::move(x));
  float* data = owner->data();
  const int64_t rows = owner->rows();
  const int64_t cols = owner->cols();
  return {*this, std::move(owner), data, rows, cols, cols};
}

Activation HostBackend::borrow(MatrixView<const float> x) const {
  return {*this, nullptr, const_cast<float*>(x.data), x.rows, x.cols, x.stride};
}

HostRows HostBackend::download(Activation x) const {
  const MatrixView<const float> view = rows_of(x);
  auto owner = std::static_pointer_cast<Matrix<float>>(x.owner());
  x = {};  // makes `owner` the only reference, for HostRows::matrix()
  return {std::move(owner), view};
}

std::unique_ptr<PackedNorm> HostBackend::pack_norm(const Norm& norm) const {
  return std::make_unique<HostNorm>(norm);
}

std::unique_ptr<RowTable> HostBackend::pack_rows(const Weight& table) const {
  return std::make_unique<HostRowTable>(table);
}

std::unique_ptr<KvStore> HostBackend::make_kv(const AttentionShape& shape, int64_t capacity) const {
  return std::make_unique<HostKvStore>(shape, capacity);
}

void HostBackend::copy(const Activation& x, const Activation& y) const {
  copy_rows<float>(rows_of(x), rows_of(y));
}

void HostBackend::gather(const RowTable& table, std::span<const int64_t> rows, const Activation& y) const {
  const Weight& weight = dynamic_cast<const HostRowTable&>(table).weight;
  const MatrixView<float> to = rows_of(y);
  PARE_CHECK(to.rows == static_cast<int64_t>(rows.size()) && to.cols == weight.cols);
  for (int64_t r = 0; r < to.rows; ++r) decode_row(weight, rows[static_cast<size_t>(r)], to.row(r));
}

void HostBackend::append(const AttentionShape& /*shape*/, std::span<const Segment> segments,
                         const Activation& k, const Activation& v) const {
  append_to_stores(segments, rows_of(k), rows_of(v));
}

}  // namespace pare
