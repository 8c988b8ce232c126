#include "kernels/reference/reference_backend.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/bf16.h"
#include "kernels/kv_rows.h"

namespace pare {
namespace {

// Weights are rounded as the compute type says and kept in f64 with their scales.
class ReferenceProduct final : public PackedLinear {
 public:
  // `round_inputs` (out) says which outputs are of inputs that are rounded to bf16.
  ReferenceProduct(Matrix<double> weights, std::vector<float> bias, std::vector<bool> round_inputs,
                   int64_t bytes)
      : PackedLinear(weights.rows(), weights.cols(), "reference"),
        weights_(std::move(weights)),
        bias_(std::move(bias)),
        round_inputs_(std::move(round_inputs)),
        bytes_(bytes) {}

  void apply(const Activation& x, const Activation& y) const noexcept override {
    apply(x.address(), y.address());
  }
  void apply(MatrixView<const float> x, MatrixView<float> y) const noexcept override {
    for (int64_t t = 0; t < x.rows; ++t)
      for (int64_t r = 0; r < weights_.rows(); ++r) {
        const bool round = round_inputs_[static_cast<size_t>(r)];
        double sum = bias_.empty() ? 0.0 : bias_[static_cast<size_t>(r)];
        for (int64_t k = 0; k < x.cols; ++k)
          sum += static_cast<double>(round ? nearest_bf16(x(t, k)) : x(t, k)) * weights_(r, k);
        y(t, r) = static_cast<float>(sum);
      }
  }
  int64_t bytes() const override { return bytes_; }

 private:
  Matrix<double> weights_;
  std::vector<float> bias_;
  std::vector<bool> round_inputs_;
  int64_t bytes_;
};

// Row r of weights on top of each other as products see it; `row` is scratch.
void rounded_row(std::span<const Weight> stack, int64_t r, ComputeType compute, std::vector<float>& row,
                 double* out) {
  double scale = 1.0;
  if (compute == ComputeType::kInt8)
    scale = int8_row(stack, r, row.data());
  else
    decode_row(stack, r, row.data());
  if (compute == ComputeType::kBF16) std::transform(row.begin(), row.end(), row.begin(), nearest_bf16);
  for (size_t k = 0; k < row.size(); ++k) out[k] = scale * row[k];
}

// Normalises n neighbouring values.
void norm_values(const Norm& norm, const float* x, float* y, int64_t n) {
  if (norm.kind == NormKind::kNone) {
    std::copy_n(x, n, y);
    return;
  }
  double mean = 0.0;
  if (norm.kind == NormKind::kLayer)
    for (int64_t i = 0; i < n; ++i) mean += x[i] / static_cast<double>(n);
  double squares = 0.0;
  for (int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const double scale = 1.0 / std::sqrt(squares / norm.divisor + norm.eps);
  for (int64_t i = 0; i < n; ++i) {
    const double weight = norm.weight.empty() ? 1.0 : norm.weight[static_cast<size_t>(i)];
    const double bias = norm.bias.empty() ? 0.0 : norm.bias[static_cast<size_t>(i)];
    y[i] = static_cast<float>((x[i] - mean) * scale * weight + bias);
  }
}

double activated(ActivationFunction function, double x) {
  switch (function) {
    case ActivationFunction::kSilu:
      return x / (1.0 + std::exp(-x));
    case ActivationFunction::kRelu:
      return x < 0.0 ? 0.0 : x;
    case ActivationFunction::kGelu:
      return x * (1.0 + std::erf(x / std::numbers::sqrt2)) / 2.0;
    case ActivationFunction::kGeluTanh:
      return x * (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x))) / 2.0;
  }
  return x;
}

// Row `row` of a store's head in f64.
std::vector<double> kept_row(const KvRows& rows, int64_t row) {
  std::vector<double> values(static_cast<size_t>(rows.dim()));
  rows.visit([&](const auto& matrix) {
    for (int64_t i = 0; i < matrix.cols(); ++i) {
      if constexpr (std::is_same_v<std::decay_t<decltype(*matrix.data())>, bf16>)
        values[static_cast<size_t>(i)] = to_f32(matrix(row, i));
      else
        values[static_cast<size_t>(i)] = matrix(row, i);
    }
  });
  return values;
}

// Attends with one query to the keys and values of positions 0..last.
void attend_head(const HostKvStore& store, size_t kv_head, int64_t last, const float* query, float* out) {
  const KvRows& keys = store.keys[kv_head];
  const KvRows& values = store.values[kv_head];
  std::vector<double> scores;
  for (int64_t p = 0; p <= last; ++p) {
    const std::vector<double> key = kept_row(keys, p);
    double dot = 0.0;
    for (size_t i = 0; i < key.size(); ++i) dot += query[i] * key[i];
    scores.push_back(dot / std::sqrt(static_cast<double>(keys.dim())));
  }
  const double largest = *std::max_element(scores.begin(), scores.end());
  double total = 0.0;
  for (double& score : scores) total += score = std::exp(score - largest);
  std::vector<double> sums(static_cast<size_t>(values.dim()), 0.0);
  for (int64_t p = 0; p <= last; ++p) {
    const std::vector<double> value = kept_row(values, p);
    for (size_t i = 0; i < value.size(); ++i) sums[i] += scores[static_cast<size_t>(p)] / total * value[i];
  }
  for (size_t i = 0; i < sums.size(); ++i) out[i] = static_cast<float>(sums[i]);
}

}  // namespace

std::unique_ptr<PackedLinear> ReferenceBackend::pack_linear(std::span<const Weight> stack,
                                                            std::vector<float> bias,
                                                            ComputeType compute) const {
  PARE_CHECK(!stack.empty());
  const int64_t cols = stack[0].cols;
  Matrix<double> weights(stacked_rows(stack), cols);
  auto bytes = static_cast<int64_t>(bias.size() * sizeof(float));
  for (const Weight& weight : stack) bytes += weight.bytes();
  std::vector<float> row(static_cast<size_t>(cols));
  std::vector<bool> round_inputs;
  for (const StackPart& part : parts_of(stack, compute)) {
    const bool round = part.compute == ComputeType::kBF16 || part.compute == ComputeType::kInt8;
    for (int64_t r = 0; r < stacked_rows(part.weights); ++r) {
      rounded_row(part.weights, r, part.compute, row, weights.row(static_cast<int64_t>(round_inputs.size())));
      round_inputs.push_back(round);
    }
  }
  for (const Weight& weight : stack) release_pages(weight);
  return std::make_unique<ReferenceProduct>(std::move(weights), std::move(bias), std::move(round_inputs),
                                            bytes);
}

std::string_view ReferenceBackend::linear_kernel(const Weight& /*weight*/, Pattern /*pattern*/,
                                                 ComputeType /*compute*/) const {
  return "reference";
}

std::unique_ptr<PackedLinear> ReferenceBackend::pack_product(MatrixView<const double> m) const {
  Matrix<double> weights = copy_of(m);
  const int64_t bytes = weights.size() * static_cast<int64_t>(sizeof(double));
  std::vector<bool> round_inputs(static_cast<size_t>(weights.rows()), false);
  return std::make_unique<ReferenceProduct>(std::move(weights), std::vector<float>(), std::move(round_inputs),
                                            bytes);
}

void ReferenceBackend::norm(const PackedNorm& norm, const Activation& x, const Activation& y,
                            int64_t width) const {
  const Norm& values = dynamic_cast<const HostNorm&>(norm).norm;
  const MatrixView<float> from = rows_of(x);
  const MatrixView<float> to = rows_of(y);
  PARE_CHECK(from.cols % width == 0);
  for (int64_t t = 0; t < from.rows; ++t)
    for (int64_t c = 0; c < from.cols; c += width) norm_values(values, from.row(t) + c, to.row(t) + c, width);
}

void ReferenceBackend::rotate(const RotaryTable& table, const Activation& x, int64_t head_dim) const {
  const MatrixView<float> cos = rows_of(table.cos);
  const MatrixView<float> sin = rows_of(table.sin);
  const MatrixView<float> rows = rows_of(x);
  for (int64_t t = 0; t < rows.rows; ++t)
    for (int64_t c = 0; c < rows.cols; c += head_dim)
      for (int64_t i = 0; i < cos.cols; ++i) {
        float& low = rows(t, c + i);
        float& high = rows(t, c + i + cos.cols);
        const double a = low;
        const double b = high;
        low = static_cast<float>(a * cos(t, i) - b * sin(t, i));
        high = static_cast<float>(b * cos(t, i) + a * sin(t, i));
      }
}

void ReferenceBackend::attend(const AttentionShape& shape, std::span<const Segment> segments,
                              const Activation& q, const Activation& y) const {
  const MatrixView<float> queries = rows_of(q);
  const MatrixView<float> out = rows_of(y);
  const int64_t group = shape.heads / shape.kv_heads;
  for (const Segment& segment : segments)
    for (int64_t t = 0; t < segment.rows; ++t)
      for (int64_t h = 0; h < shape.heads; ++h)
        attend_head(host_store(segment), static_cast<size_t>(h / group), segment.first + t,
                    queries.row(segment.begin + t) + h * shape.head_dim,
                    out.row(segment.begin + t) + h * shape.value_head_dim);
}

void ReferenceBackend::activate(ActivationFunction function, const Activation& x, int64_t hidden) const {
  const MatrixView<float> rows = rows_of(x);
  for (int64_t t = 0; t < rows.rows; ++t)
    for (int64_t i = 0; i < hidden; ++i) {
      const double value = activated(function, rows(t, i));
      const bool gated = function == ActivationFunction::kSilu;
      rows(t, i) = static_cast<float>(gated ? value * rows(t, hidden + i) : value);
    }
}

void ReferenceBackend::add(const Activation& x, const Activation& y) const {
  const MatrixView<float> from = rows_of(x);
  const MatrixView<float> to = rows_of(y);
  for (int64_t t = 0; t < from.rows; ++t)
    for (int64_t c = 0; c < from.cols; ++c) to(t, c) += from(t, c);
}

bool ReferenceBackend::all_finite(const Activation& x) const {
  const MatrixView<float> rows = rows_of(x);
  for (int64_t t = 0; t < rows.rows; ++t)
    for (int64_t c = 0; c < rows.cols; ++c)
      if (!std::isfinite(rows(t, c))) return false;
  return true;
}

void ReferenceBackend::gram_accumulate(const Activation& x, const double* row_weights,
                                       MatrixView<double> h) const {
  cross_accumulate(x, x, row_weights, h);
}

void ReferenceBackend::cross_accumulate(const Activation& x, const Activation& y, const double* row_weights,
                                        MatrixView<double> c) const {
  const MatrixView<float> left = rows_of(x);
  const MatrixView<float> right = rows_of(y);
  PARE_CHECK(left.rows == right.rows && c.rows == left.cols && c.cols == right.cols);
  for (int64_t t = 0; t < left.rows; ++t)
    for (int64_t i = 0; i < c.rows; ++i)
      for (int64_t j = 0; j < c.cols; ++j)
        c(i, j) += (row_weights == nullptr ? 1.0 : row_weights[t]) * left(t, i) * right(t, j);
}

double ReferenceBackend::gram_inner_product(const Activation& x, MatrixView<const double> h) const {
  const MatrixView<float> rows = rows_of(x);
  double total = 0.0;
  for (int64_t t = 0; t < rows.rows; ++t)
    for (int64_t i = 0; i < h.rows; ++i)
      for (int64_t j = 0; j < h.cols; ++j) total += static_cast<double>(rows(t, i)) * h(i, j) * rows(t, j);
  return total;
}

}  // namespace pare
