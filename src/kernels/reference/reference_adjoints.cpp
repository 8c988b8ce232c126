#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "base/bf16.h"
#include "kernels/reference/reference_backend.h"

namespace pare {
namespace {

// Replaces the gradient dy at n normalised neighbouring values by that at the values x.
void norm_values_adjoint(const Norm& norm, const float* x, const float* dy, float* dx, int64_t n) {
  if (norm.kind == NormKind::kNone) {
    if (dx != dy) std::copy_n(dy, n, dx);
    return;
  }
  const auto count = static_cast<double>(n);
  double mean = 0.0;
  if (norm.kind == NormKind::kLayer)
    for (int64_t i = 0; i < n; ++i) mean += x[i] / count;
  std::vector<double> scaled(static_cast<size_t>(n));  // weight · dy
  double squares = 0.0;
  double crossed = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    scaled[at] = (norm.weight.empty() ? 1.0 : norm.weight[at]) * dy[i];
    squares += (x[i] - mean) * (x[i] - mean);
    crossed += (x[i] - mean) * scaled[at];
  }
  const double scale = 1.0 / std::sqrt(squares / norm.divisor + norm.eps);
  const double along = scale * scale * scale / norm.divisor * crossed;
  double mean_gradient = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    double& value = scaled[static_cast<size_t>(i)];
    value = scale * value - along * (x[i] - mean);
    if (norm.kind == NormKind::kLayer) mean_gradient += value / count;
  }
  for (int64_t i = 0; i < n; ++i) dx[i] = static_cast<float>(scaled[static_cast<size_t>(i)] - mean_gradient);
}

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// The derivative of a function of one value.
double slope(ActivationFunction function, double x) {
  switch (function) {
    case ActivationFunction::kSilu:
      return sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)));
    case ActivationFunction::kRelu:
      return x > 0.0 ? 1.0 : 0.0;
    case ActivationFunction::kGelu:
      return (1.0 + std::erf(x / std::numbers::sqrt2)) / 2.0 +
             x * std::exp(-x * x / 2.0) / std::sqrt(2.0 * std::numbers::pi);
    case ActivationFunction::kGeluTanh: {
      const double inner_slope = std::sqrt(2.0 / std::numbers::pi) * (1.0 + 3.0 * 0.044715 * x * x);
      const double t = std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x));
      return (1.0 + t + x * (1.0 - t * t) * inner_slope) / 2.0;
    }
  }
  return 1.0;
}

}  // namespace

void ReferenceBackend::norm_adjoint(const PackedNorm& norm, const Activation& x, const Activation& dy,
                                    const Activation& dx, int64_t width) const {
  const Norm& values = dynamic_cast<const HostNorm&>(norm).norm;
  const MatrixView<float> at = rows_of(x);
  const MatrixView<float> from = rows_of(dy);
  const MatrixView<float> to = rows_of(dx);
  PARE_CHECK(at.cols % width == 0);
  for (int64_t t = 0; t < at.rows; ++t)
    for (int64_t c = 0; c < at.cols; c += width)
      norm_values_adjoint(values, at.row(t) + c, from.row(t) + c, to.row(t) + c, width);
}

void ReferenceBackend::rotate_back(const RotaryTable& table, const Activation& x, int64_t head_dim) const {
  const MatrixView<float> sin = rows_of(table.sin);
  Matrix<float> opposite(sin.rows, sin.cols);
  for (int64_t t = 0; t < sin.rows; ++t)
    for (int64_t i = 0; i < sin.cols; ++i) opposite(t, i) = -sin(t, i);
  rotate({table.cos, upload(std::move(opposite))}, x, head_dim);
}

void ReferenceBackend::activate_adjoint(ActivationFunction function, const Activation& x, int64_t hidden,
                                        const Activation& d) const {
  const MatrixView<float> at = rows_of(x);
  const MatrixView<float> gradient = rows_of(d);
  for (int64_t t = 0; t < at.rows; ++t)
    for (int64_t i = 0; i < hidden; ++i) {
      const double value = at(t, i);
      double from = gradient(t, i);
      if (function == ActivationFunction::kSilu) {
        gradient(t, hidden + i) = static_cast<float>(from * value * sigmoid(value));
        from *= at(t, hidden + i);
      }
      gradient(t, i) = static_cast<float>(from * slope(function, value));
    }
}

void ReferenceBackend::attend_adjoint(const AttentionShape& shape, std::span<const Segment> segments,
                                      const Activation& q, const Activation& k, const Activation& v,
                                      const Activation& dy, const Activation& dq, const Activation& dk,
                                      const Activation& dv) const {
  const MatrixView<float> queries = rows_of(q);
  const MatrixView<float> keys = rows_of(k);
  const MatrixView<float> values = rows_of(v);
  const MatrixView<float> gradient = rows_of(dy);
  const MatrixView<float> to_queries = rows_of(dq);
  Matrix<double> to_keys = Matrix<double>::zeros(keys.rows, keys.cols);
  Matrix<double> to_values = Matrix<double>::zeros(values.rows, values.cols);
  const double scale = 1.0 / std::sqrt(static_cast<double>(shape.head_dim));
  for (const Segment& segment : segments) {
    PARE_CHECK(segment.first == 0);
    for (int64_t t = segment.begin; t < segment.begin + segment.rows; ++t)
      for (int64_t h = 0; h < shape.heads; ++h) {
        const int64_t kv_head = h / (shape.heads / shape.kv_heads);
        const int64_t at_q = h * shape.head_dim;
        const int64_t at_k = kv_head * shape.head_dim;
        const int64_t at_v = kv_head * shape.value_head_dim;
        const int64_t at_y = h * shape.value_head_dim;
        const auto count = static_cast<size_t>(t - segment.begin + 1);
        std::vector<double> p(count);   // softmax of the scores
        std::vector<double> dp(count);  // gradient at it
        for (size_t i = 0; i < count; ++i) {
          const int64_t s = segment.begin + static_cast<int64_t>(i);
          for (int64_t c = 0; c < shape.head_dim; ++c)
            p[i] += scale * queries(t, at_q + c) * static_cast<double>(keys(s, at_k + c));
          for (int64_t c = 0; c < shape.value_head_dim; ++c)
            dp[i] += gradient(t, at_y + c) * static_cast<double>(values(s, at_v + c));
        }
        const double largest = *std::max_element(p.begin(), p.end());
        double total = 0.0;
        for (double& value : p) total += value = std::exp(value - largest);
        double mean = 0.0;
        for (size_t i = 0; i < count; ++i) mean += (p[i] /= total) * dp[i];
        std::vector<double> to_query(static_cast<size_t>(shape.head_dim));
        for (size_t i = 0; i < count; ++i) {
          const int64_t s = segment.begin + static_cast<int64_t>(i);
          const double ds = scale * p[i] * (dp[i] - mean);
          for (int64_t c = 0; c < shape.head_dim; ++c) {
            to_query[static_cast<size_t>(c)] += ds * keys(s, at_k + c);
            to_keys(s, at_k + c) += ds * queries(t, at_q + c);
          }
          for (int64_t c = 0; c < shape.value_head_dim; ++c)
            to_values(s, at_v + c) += p[i] * gradient(t, at_y + c);
        }
        for (int64_t c = 0; c < shape.head_dim; ++c)
          to_queries(t, at_q + c) = static_cast<float>(to_query[static_cast<size_t>(c)]);
      }
  }
  const auto rounded = [](const Matrix<double>& from, MatrixView<float> to) {
    for (int64_t r = 0; r < to.rows; ++r)
      for (int64_t c = 0; c < to.cols; ++c) to(r, c) = static_cast<float>(from(r, c));
  };
  rounded(to_keys, rows_of(dk));
  rounded(to_values, rows_of(dv));
}

void ReferenceBackend::weight_adjoint(const Activation& x, const Activation& dy, ComputeType compute,
                                      MatrixView<float> dw) const {
  const MatrixView<float> from = rows_of(x);
  const MatrixView<float> gradient = rows_of(dy);
  PARE_CHECK(from.rows == gradient.rows && dw.rows == gradient.cols && dw.cols == from.cols);
  const auto seen = [&](float value) {
    return static_cast<double>(compute == ComputeType::kBF16 ? nearest_bf16(value) : value);
  };
  for (int64_t r = 0; r < dw.rows; ++r)
    for (int64_t c = 0; c < dw.cols; ++c) {
      double sum = 0.0;
      for (int64_t t = 0; t < from.rows; ++t) sum += seen(gradient(t, r)) * seen(from(t, c));
      dw(r, c) += static_cast<float>(sum);
    }
}

}  // namespace pare
