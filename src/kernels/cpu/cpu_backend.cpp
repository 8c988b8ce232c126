#include "kernels/cpu/cpu_backend.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#include "base/parallel.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/gram.h"
#include "kernels/cpu/linear_impls.h"
#include "kernels/cpu/parts_linear.h"
#include "kernels/cpu/split_linear.h"
#include "kernels/for_each_row.h"

namespace pare {
namespace {

constexpr int64_t kProductRows = 512;  // rows of a matrix that are held in f32 at once

// Normalises a row of n values; y may be x.
void norm_row(const VectorOps& ops, const Norm& norm, const float* x, float* y, int64_t n) {
  const float* weight = norm.weight.empty() ? nullptr : norm.weight.data();
  const float* bias = norm.bias.empty() ? nullptr : norm.bias.data();
  const auto divisor = static_cast<float>(norm.divisor);
  const auto eps = static_cast<float>(norm.eps);
  switch (norm.kind) {
    case NormKind::kRms:
      return ops.rms_norm(x, weight, divisor, eps, y, n);
    case NormKind::kLayer:
      return ops.layer_norm(x, weight, bias, divisor, eps, y, n);
    case NormKind::kNone:
      if (y != x) std::memcpy(y, x, static_cast<size_t>(n) * sizeof(float));
  }
}

void activate_row(const VectorOps& ops, ActivationFunction function, float* row, int64_t hidden) {
  switch (function) {
    case ActivationFunction::kSilu:
      return ops.silu_mul(row, row + hidden, hidden);
    case ActivationFunction::kRelu:
      return ops.relu(row, hidden);
    case ActivationFunction::kGelu:
      return ops.gelu(row, hidden);
    case ActivationFunction::kGeluTanh:
      return ops.gelu_tanh(row, hidden);
  }
}

bool row_finite(const float* row, int64_t n) {
  constexpr uint32_t kExponent = 0x7f800000u;
  uint32_t bad = 0;
  for (int64_t c = 0; c < n; ++c)
    bad |= static_cast<uint32_t>((std::bit_cast<uint32_t>(row[c]) & kExponent) == kExponent);
  return bad == 0;
}

}  // namespace

CpuBackend::CpuBackend(Isa isa) : isa_(isa), ops_(vector_ops(isa)) { PARE_CHECK(isa <= detected_isa()); }

std::unique_ptr<HostLinear> CpuBackend::pack(std::span<const Weight> stack, ComputeType compute) const {
  std::vector<std::unique_ptr<HostLinear>> parts;
  for (const StackPart& part : parts_of(stack, compute))
    parts.push_back(select_linear(part.weights, part.compute, isa_).pack(part.weights));
  for (const Weight& weight : stack) release_pages(weight);
  if (parts.size() == 1) return std::move(parts.front());
  return std::make_unique<PartsLinear>(std::move(parts));
}

std::unique_ptr<PackedLinear> CpuBackend::pack_linear(std::span<const Weight> stack, std::vector<float> bias,
                                                      ComputeType compute) const {
  auto packed = pack(stack, compute);
  packed->set_bias(std::move(bias), ops_.add);
  return packed;
}

std::string_view CpuBackend::linear_kernel(const Weight& weight, Pattern pattern, ComputeType compute) const {
  return select_linear({pattern, compute_of(weight, compute)}, isa_).name;
}

std::unique_ptr<PackedLinear> CpuBackend::pack_product(MatrixView<const double> m) const {
  // Matrices are packed by rows: a large one is not held in f32 as a whole.
  const auto packed_values = [&](auto&& value, Encoding encoding, ComputeType compute) {
    std::vector<Weight> stack;
    for (int64_t first = 0; first < m.rows; first += kProductRows) {
      Matrix<float> part(std::min(kProductRows, m.rows - first), m.cols);
      parallel_for(part.rows(), [&](int64_t r) {
        for (int64_t c = 0; c < m.cols; ++c) part(r, c) = value(m(first + r, c));
      });
      stack.push_back(Weight::from_matrix(std::as_const(part).view(), encoding));
    }
    return pack(stack, compute);
  };
  const auto rounded = [](double value) { return static_cast<float>(value); };
  if (!has_tiles()) return packed_values(rounded, Encoding::kF32, ComputeType::kF32);
  return std::make_unique<SplitLinear>(
      packed_values(rounded, Encoding::kBF16, ComputeType::kBF16),
      packed_values([](double value) { return bf16_rest(static_cast<float>(value)); }, Encoding::kBF16,
                    ComputeType::kBF16));
}

void CpuBackend::norm(const PackedNorm& norm, const Activation& x, const Activation& y, int64_t width) const {
  const Norm& values = dynamic_cast<const HostNorm&>(norm).norm;
  const MatrixView<float> from = rows_of(x);
  const MatrixView<float> to = rows_of(y);
  PARE_CHECK(from.cols % width == 0);
  for_each_row(from.rows, [&](int64_t t) {
    for (int64_t c = 0; c < from.cols; c += width)
      norm_row(ops_, values, from.row(t) + c, to.row(t) + c, width);
  });
}

void CpuBackend::rotate(const RotaryTable& table, const Activation& x, int64_t head_dim) const {
  const MatrixView<float> cos = rows_of(table.cos);
  const MatrixView<float> sin = rows_of(table.sin);
  const MatrixView<float> rows = rows_of(x);
  if (cos.cols == 0) return;
  for_each_row(rows.rows, [&](int64_t t) {
    for (int64_t c = 0; c < rows.cols; c += head_dim)
      ops_.rope(rows.row(t) + c, cos.row(t), sin.row(t), cos.cols);
  });
}

void CpuBackend::attend(const AttentionShape& shape, std::span<const Segment> segments, const Activation& q,
                        const Activation& y) const {
  attend_in_blocks(isa_, shape, segments, rows_of(q), rows_of(y));
}

void CpuBackend::activate(ActivationFunction function, const Activation& x, int64_t hidden) const {
  const MatrixView<float> rows = rows_of(x);
  for_each_row(rows.rows, [&](int64_t t) { activate_row(ops_, function, rows.row(t), hidden); });
}

void CpuBackend::add(const Activation& x, const Activation& y) const {
  const MatrixView<float> from = rows_of(x);
  const MatrixView<float> to = rows_of(y);
  for_each_row(from.rows, [&](int64_t t) { ops_.add(from.row(t), to.row(t), from.cols); });
}

bool CpuBackend::all_finite(const Activation& x) const {
  const MatrixView<float> rows = rows_of(x);
  std::atomic<bool> finite = true;
  for_each_row(rows.rows, [&](int64_t r) {
    if (!row_finite(rows.row(r), rows.cols)) finite = false;
  });
  return finite;
}

void CpuBackend::gram_accumulate(const Activation& x, const double* row_weights, MatrixView<double> h) const {
  add_gram(isa_, rows_of(x), row_weights, h);
}

void CpuBackend::cross_accumulate(const Activation& x, const Activation& y, const double* row_weights,
                                  MatrixView<double> c) const {
  add_cross(isa_, rows_of(x), rows_of(y), row_weights, c);
}

double CpuBackend::gram_inner_product(const Activation& x, MatrixView<const double> h) const {
  return pare::gram_inner_product(isa_, rows_of(x), h);
}

ComputeType CpuBackend::calibration_compute() const {
  const LinearImpl& of_bf16 = select_linear({kDense, ComputeType::kBF16}, isa_);
  return of_bf16.multiplies_bf16() ? ComputeType::kBF16 : ComputeType::kF32;
}

double CpuBackend::gram_rounding() const { return pare::gram_rounding(isa_); }

}  // namespace pare
