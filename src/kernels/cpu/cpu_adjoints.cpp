#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <vector>

#include "kernels/cpu/attention_adjoint.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/gram.h"
#include "kernels/for_each_row.h"
#include "tensor/transposed.h"

namespace pare {
namespace {

constexpr int64_t kOutputs = 512;  // rows of a weight's gradient that are computed at once

// Replaces the gradient dy at n normalised neighbouring values by that at the values x.
void norm_row_adjoint(const Norm& norm, const float* x, const float* dy, float* dx, int64_t n) {
  if (norm.kind == NormKind::kNone) {
    if (dx != dy) std::copy_n(dy, n, dx);
    return;
  }
  const bool centred = norm.kind == NormKind::kLayer;
  double mean = 0.0;
  if (centred) mean = std::accumulate(x, x + n, 0.0) / static_cast<double>(n);
  double squares = 0.0;
  double crossed = 0.0;
  double total = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    const double deviation = x[i] - mean;
    dx[i] = norm.weight.empty() ? dy[i] : norm.weight[static_cast<size_t>(i)] * dy[i];
    squares += deviation * deviation;
    crossed += deviation * dx[i];
    total += dx[i];
  }
  const double scale = 1.0 / std::sqrt(squares / norm.divisor + norm.eps);
  const double along = scale * scale * scale / norm.divisor * crossed;
  // A layer norm takes away the mean of the gradient at x − mean.
  const double shift = centred ? scale * total / static_cast<double>(n) : 0.0;
  for (int64_t i = 0; i < n; ++i) dx[i] = static_cast<float>(scale * dx[i] - along * (x[i] - mean) - shift);
}

// The gradient at gates and ups from that at silu(gate)·up, in d's first half; `scratch` (hidden).
void silu_mul_adjoint(const VectorOps& ops, const float* x, int64_t hidden, float* scratch, float* d) {
  for (int64_t i = 0; i < hidden; ++i) scratch[i] = -x[i];
  ops.exp_sum(scratch, 0.0f, hidden);
  for (int64_t i = 0; i < hidden; ++i) {
    const float sigmoid = 1.0f / (1.0f + scratch[i]);
    const float from = d[i];
    d[hidden + i] = from * x[i] * sigmoid;
    d[i] = from * x[hidden + i] * sigmoid * (1.0f + x[i] * (1.0f - sigmoid));
  }
}

// The derivative of a function that acts on one value.
float slope(ActivationFunction function, float x) {
  switch (function) {
    case ActivationFunction::kSilu:
      break;
    case ActivationFunction::kRelu:
      return x > 0.0f ? 1.0f : 0.0f;
    case ActivationFunction::kGelu:
      return (1.0f + std::erf(x / std::numbers::sqrt2_v<float>)) / 2.0f +
             x * std::exp(-x * x / 2.0f) * std::numbers::inv_sqrtpi_v<float> / std::numbers::sqrt2_v<float>;
    case ActivationFunction::kGeluTanh: {
      constexpr float kFactor = std::numbers::sqrt2_v<float> * std::numbers::inv_sqrtpi_v<float>;
      const float t = std::tanh(kFactor * (x + 0.044715f * x * x * x));
      return (1.0f + t + x * (1.0f - t * t) * kFactor * (1.0f + 3.0f * 0.044715f * x * x)) / 2.0f;
    }
  }
  fail(ErrorCode::kInternal, "silu acts on two values");
}

}  // namespace

void CpuBackend::norm_adjoint(const PackedNorm& norm, const Activation& x, const Activation& dy,
                              const Activation& dx, int64_t width) const {
  const Norm& values = dynamic_cast<const HostNorm&>(norm).norm;
  const MatrixView<float> at = rows_of(x);
  const MatrixView<float> from = rows_of(dy);
  const MatrixView<float> to = rows_of(dx);
  PARE_CHECK(at.cols % width == 0);
  for_each_row(at.rows, [&](int64_t t) {
    for (int64_t c = 0; c < at.cols; c += width)
      norm_row_adjoint(values, at.row(t) + c, from.row(t) + c, to.row(t) + c, width);
  });
}

void CpuBackend::rotate_back(const RotaryTable& table, const Activation& x, int64_t head_dim) const {
  const MatrixView<float> cos = rows_of(table.cos);
  const MatrixView<float> sin = rows_of(table.sin);
  const MatrixView<float> rows = rows_of(x);
  const int64_t half = cos.cols;
  for_each_row(rows.rows, [&](int64_t t) {
    for (int64_t c = 0; c < rows.cols; c += head_dim) {
      float* head = rows.row(t) + c;
      for (int64_t i = 0; i < half; ++i) {
        const float low = head[i];
        const float high = head[half + i];
        head[i] = low * cos(t, i) + high * sin(t, i);
        head[half + i] = high * cos(t, i) - low * sin(t, i);
      }
    }
  });
}

void CpuBackend::activate_adjoint(ActivationFunction function, const Activation& x, int64_t hidden,
                                  const Activation& d) const {
  const MatrixView<float> at = rows_of(x);
  const MatrixView<float> gradient = rows_of(d);
  for_each_row(at.rows, [&](int64_t t) {
    const float* values = at.row(t);
    float* row = gradient.row(t);
    if (function == ActivationFunction::kSilu) {
      std::vector<float> scratch(static_cast<size_t>(hidden));
      silu_mul_adjoint(ops_, values, hidden, scratch.data(), row);
    } else {
      for (int64_t i = 0; i < hidden; ++i) row[i] *= slope(function, values[i]);
    }
  });
}

void CpuBackend::attend_adjoint(const AttentionShape& shape, std::span<const Segment> segments,
                                const Activation& q, const Activation& k, const Activation& v,
                                const Activation& dy, const Activation& dq, const Activation& dk,
                                const Activation& dv) const {
  attend_adjoint_in_tiles(
      isa_, shape, segments,
      {rows_of(q), rows_of(k), rows_of(v), rows_of(dy), rows_of(dq), rows_of(dk), rows_of(dv)});
}

// Where tiles cannot take tokens as they are, an output of a linear is a row of dy turned round, and its
// weights are x turned round.
void CpuBackend::weight_adjoint(const Activation& x, const Activation& dy, ComputeType compute,
                                MatrixView<float> dw) const {
  const MatrixView<float> from = rows_of(dy);
  PARE_CHECK(from.rows == x.rows() && dw.rows == from.cols && dw.cols == x.cols());
  if (compute == ComputeType::kBF16 && has_products_on_tiles(isa_, from.rows, std::min(dw.rows, dw.cols)))
    return add_products_on_tiles(from, rows_of(x), dw);
  const Matrix<float> inputs = transposed(rows_of(x));
  const Weight weight = Weight::view_of(inputs.view());
  const auto product = pack(std::span(&weight, 1), compute);
  Matrix<float> part(std::min(kOutputs, dw.rows), dw.cols);
  for (int64_t r = 0; r < dw.rows; r += kOutputs) {
    const int64_t n = std::min(kOutputs, dw.rows - r);
    const Matrix<float> gradients = transposed(from.block(0, r, from.rows, n));
    product->apply(gradients.view(), part.view().rows_of(0, n));
    for_each_row(n, [&](int64_t i) { ops_.add(part.row(i), dw.row(r + i), dw.cols); });
  }
}

}  // namespace pare
