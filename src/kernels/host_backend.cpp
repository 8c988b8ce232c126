#include "kernels/host_backend.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "kernels/for_each_row.h"
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

namespace {

constexpr int64_t kColumns = 64;  // columns of a piece of work that sums rows

// Calls work(first, count) for pieces of `cols` columns, in parallel.
template <typename Work>
void for_each_columns(int64_t cols, Work&& work) {
  parallel_for((cols + kColumns - 1) / kColumns, [&](int64_t piece) {
    const int64_t first = piece * kColumns;
    work(first, std::min(kColumns, cols - first));
  });
}

// What a norm subtracts from neighbouring values, and multiplies them by.
struct Standardisation {
  double mean = 0.0;
  double scale = 1.0;

  Standardisation() = default;
  Standardisation(const Norm& norm, const float* x, int64_t n) {
    if (norm.kind == NormKind::kNone) return;
    if (norm.kind == NormKind::kLayer)
      for (int64_t i = 0; i < n; ++i) mean += x[i] / static_cast<double>(n);
    double squares = 0.0;
    for (int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
    scale = 1.0 / std::sqrt(squares / norm.divisor + norm.eps);
  }
};

}  // namespace

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
  const MatrixView<float> from = rows_of(x);
  const MatrixView<float> to = rows_of(y);
  PARE_CHECK(from.rows == to.rows && from.cols == to.cols);
  for_each_row(from.rows, [&](int64_t r) { std::copy_n(from.row(r), from.cols, to.row(r)); });
}

void HostBackend::gather(const RowTable& table, std::span<const int64_t> rows, const Activation& y) const {
  const Weight& weight = dynamic_cast<const HostRowTable&>(table).weight;
  const MatrixView<float> to = rows_of(y);
  PARE_CHECK(to.rows == static_cast<int64_t>(rows.size()) && to.cols == weight.cols);
  for_each_row(to.rows, [&](int64_t r) { decode_row(weight, rows[static_cast<size_t>(r)], to.row(r)); });
}

void HostBackend::append(const AttentionShape& /*shape*/, std::span<const Segment> segments,
                         const Activation& k, const Activation& v) const {
  append_to_stores(segments, rows_of(k), rows_of(v));
}

void HostBackend::bias_adjoint(const Activation& dy, std::span<float> db) const {
  const MatrixView<float> from = rows_of(dy);
  PARE_CHECK(static_cast<int64_t>(db.size()) == from.cols);
  for_each_columns(from.cols, [&](int64_t first, int64_t count) {
    double sums[kColumns] = {};
    for (int64_t t = 0; t < from.rows; ++t)
      for (int64_t c = 0; c < count; ++c) sums[c] += from(t, first + c);
    for (int64_t c = 0; c < count; ++c) db[static_cast<size_t>(first + c)] += static_cast<float>(sums[c]);
  });
}

void HostBackend::norm_weight_adjoint(const PackedNorm& norm, const Activation& x, const Activation& dy,
                                      int64_t width, std::span<float> dw, std::span<float> db) const {
  const Norm& values = dynamic_cast<const HostNorm&>(norm).norm;
  const MatrixView<float> at = rows_of(x);
  const MatrixView<float> from = rows_of(dy);
  PARE_CHECK(at.cols % width == 0 && (dw.empty() || static_cast<int64_t>(dw.size()) == width));
  const int64_t parts = at.cols / width;
  if (!db.empty())
    for (int64_t p = 0; p < parts; ++p) bias_adjoint(dy.columns_of(p * width, width), db);
  if (dw.empty()) return;
  std::vector<Standardisation> rows(static_cast<size_t>(at.rows * parts));
  for_each_columns(at.rows * parts, [&](int64_t first, int64_t count) {
    for (int64_t i = first; i < first + count; ++i)
      rows[static_cast<size_t>(i)] = {values, at.row(i / parts) + i % parts * width, width};
  });
  for_each_columns(width, [&](int64_t first, int64_t count) {
    double sums[kColumns] = {};
    for (int64_t i = 0; i < at.rows * parts; ++i) {
      const Standardisation& row = rows[static_cast<size_t>(i)];
      const float* given = at.row(i / parts) + i % parts * width + first;
      const float* gradient = from.row(i / parts) + i % parts * width + first;
      for (int64_t c = 0; c < count; ++c) sums[c] += gradient[c] * (given[c] - row.mean) * row.scale;
    }
    for (int64_t c = 0; c < count; ++c) dw[static_cast<size_t>(first + c)] += static_cast<float>(sums[c]);
  });
}

void HostBackend::gather_adjoint(std::span<const int64_t> rows, const Activation& dy,
                                 MatrixView<float> dtable) const {
  const MatrixView<float> from = rows_of(dy);
  PARE_CHECK(from.rows == static_cast<int64_t>(rows.size()) && from.cols == dtable.cols);
  for_each_columns(from.cols, [&](int64_t first, int64_t count) {
    for (int64_t t = 0; t < from.rows; ++t) {
      float* to = dtable.row(rows[static_cast<size_t>(t)]) + first;
      for (int64_t c = 0; c < count; ++c) to[c] += from(t, first + c);
    }
  });
}

}  // namespace pare
