#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "tensor/matrix.h"

namespace pare {
namespace {

constexpr double kMeanDecay = 0.9;
constexpr double kSquaresDecay = 0.95;
constexpr double kDamping = 0.2;  // c, in typical means of squares
constexpr int64_t kPieces = 64;   // pieces of a tensor that are summed up side by side, at most
constexpr size_t kPiece = size_t{1} << 15;
constexpr double kLeast = 1e-30;  // smaller means of squares count as this in quotients

// Calls work(first, end) for pieces of an array, in parallel.
template <typename Work>
void for_each_piece(size_t values, Work&& work) {
  parallel_for(static_cast<int64_t>((values + kPiece - 1) / kPiece), [&](int64_t piece) {
    const size_t first = static_cast<size_t>(piece) * kPiece;
    work(first, std::min(values, first + kPiece));
  });
}

double square(float x) { return static_cast<double>(x) * static_cast<double>(x); }

size_t moments_of(const SteppedTensor& tensor) {
  return static_cast<size_t>(tensor.rows == 1 ? tensor.cols : tensor.rows + tensor.cols);
}

// Writes the means of squares of a matrix: of its rows, then of its columns; of a vector, the squares.
// Returns the sum of all squares.
double mean_squares(MatrixView<const float> gradient, std::span<double> means) {
  if (gradient.rows == 1) {
    for (int64_t c = 0; c < gradient.cols; ++c) means[static_cast<size_t>(c)] = square(gradient(0, c));
    return std::accumulate(means.begin(), means.end(), 0.0);
  }
  const auto rows = static_cast<size_t>(gradient.rows);
  const std::span<double> of_rows = means.first(rows);
  const std::span<double> of_columns = means.subspan(rows);
  const int64_t in_piece = (gradient.rows + kPieces - 1) / kPieces;
  const int64_t pieces = (gradient.rows + in_piece - 1) / in_piece;
  Matrix<double> columns = Matrix<double>::zeros(pieces, gradient.cols);
  parallel_for(pieces, [&](int64_t piece) {
    double* sums = columns.row(piece);
    const int64_t end = std::min(gradient.rows, (piece + 1) * in_piece);
    for (int64_t r = piece * in_piece; r < end; ++r) {
      double sum = 0.0;
      for (int64_t c = 0; c < gradient.cols; ++c) {
        const double q = square(gradient(r, c));
        sum += q;
        sums[c] += q;
      }
      of_rows[static_cast<size_t>(r)] = sum;
    }
  });
  std::ranges::fill(of_columns, 0.0);
  for (int64_t piece = 0; piece < pieces; ++piece)
    for (size_t c = 0; c < of_columns.size(); ++c) of_columns[c] += columns.row(piece)[c];
  const double sum = std::accumulate(of_rows.begin(), of_rows.end(), 0.0);
  for (double& mean : of_rows) mean /= static_cast<double>(gradient.cols);
  for (double& mean : of_columns) mean /= static_cast<double>(gradient.rows);
  return sum;
}

// Returns the mean of the logarithms of those that are not zero.
double mean_logarithm(std::span<const float> values) {
  double sum = 0.0;
  int64_t count = 0;
  for (const float value : values) {
    if (value <= 0.0f) continue;
    sum += std::log(static_cast<double>(value));
    ++count;
  }
  return count == 0 ? 0.0 : sum / static_cast<double>(count);
}

double mean_of(std::span<const float> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

Optimizer::Optimizer(std::vector<SteppedTensor> tensors) : tensors_(std::move(tensors)) {
  size_t size = 0;
  for (const SteppedTensor& tensor : tensors_) {
    begins_.push_back(size);
    size += moments_of(tensor);
  }
  squares_.resize(size);
  observed_.resize(size);
}

double Optimizer::observe(std::span<const float> gradient) {
  double sum = 0.0;
  for (size_t t = 0; t < tensors_.size(); ++t) {
    const SteppedTensor& tensor = tensors_[t];
    sum += mean_squares({gradient.data() + tensor.offset, tensor.rows, tensor.cols, tensor.cols},
                        std::span(observed_).subspan(begins_[t], moments_of(tensor)));
  }
  return std::sqrt(sum);
}

// Returns the geometric mean of v, in units of the tensors, over the matrices that set the damping.
double Optimizer::typical_square() const {
  double sum = 0.0;
  double count = 0.0;
  for (size_t t = 0; t < tensors_.size(); ++t) {
    const SteppedTensor& tensor = tensors_[t];
    if (!tensor.sets_damping || tensor.rows == 1) continue;
    const auto rows = static_cast<size_t>(tensor.rows);
    const std::span<const float> means = std::span(squares_).subspan(begins_[t], moments_of(tensor));
    const double mean = mean_of(means.first(rows));
    if (mean <= 0.0) continue;
    const auto size = static_cast<double>(tensor.rows * tensor.cols);
    sum += size * (mean_logarithm(means.first(rows)) + mean_logarithm(means.subspan(rows)) - std::log(mean) +
                   2.0 * std::log(tensor.unit));
    count += size;
  }
  return count == 0.0 ? 0.0 : std::exp(sum / count);
}

void Optimizer::step(std::span<float> values, std::span<const float> gradient, std::span<float> mean,
                     int64_t step, double schedule, double scale) {
  for (size_t i = 0; i < squares_.size(); ++i)
    squares_[i] = static_cast<float>(kSquaresDecay * static_cast<double>(squares_[i]) +
                                     (1.0 - kSquaresDecay) * scale * scale * observed_[i]);
  const double typical = typical_square();
  if (typical == 0.0) return;  // no gradient yet
  const auto steps = static_cast<double>(step);
  const double unbias = std::sqrt(1.0 - std::pow(kSquaresDecay, steps)) / (1.0 - std::pow(kMeanDecay, steps));
  const auto damping = static_cast<float>(kDamping);
  const auto keep = static_cast<float>(kMeanDecay);
  const auto add = static_cast<float>((1.0 - kMeanDecay) * scale);
  for (size_t t = 0; t < tensors_.size(); ++t) {
    const SteppedTensor& tensor = tensors_[t];
    const bool vector = tensor.rows == 1;
    const std::span<const float> means = std::span(squares_).subspan(begins_[t], moments_of(tensor));
    const std::span<const float> of_rows =
        vector ? std::span<const float>() : means.first(static_cast<size_t>(tensor.rows));
    // v of a value, in typical ones, is the product of its row's and its column's.
    const double row_mean = vector ? 1.0 : std::max(mean_of(of_rows), kLeast);
    // In units, a gradient is `unit` times as large.
    const double unit_squared = tensor.unit * tensor.unit;
    std::vector<float> columns;
    for (const float square : means.subspan(of_rows.size()))
      columns.push_back(static_cast<float>(static_cast<double>(square) * unit_squared / typical));
    const auto size = static_cast<float>(tensor.rate * unit_squared * schedule * unbias / std::sqrt(typical));
    parallel_for(tensor.rows, [&](int64_t r) {
      const auto row =
          vector ? 1.0f : static_cast<float>(static_cast<double>(of_rows[static_cast<size_t>(r)]) / row_mean);
      const int64_t first = tensor.offset + r * tensor.cols;
      const float* g = gradient.data() + first;
      float* m = mean.data() + first;
      float* value = values.data() + first;
      for (int64_t c = 0; c < tensor.cols; ++c) {
        m[c] = keep * m[c] + add * g[c];
        value[c] -= size * m[c] / (row * columns[static_cast<size_t>(c)] + damping);
      }
    });
  }
}

void move_average(std::span<float> average, std::span<const float> values, double decay) {
  PARE_CHECK(average.size() == values.size());
  const auto keep = static_cast<float>(decay);
  for_each_piece(values.size(), [&](size_t first, size_t end) {
    for (size_t i = first; i < end; ++i) average[i] = keep * average[i] + (1.0f - keep) * values[i];
  });
}

double cosine_schedule(int64_t step, int64_t steps, int64_t warm_up, double floor) {
  if (step <= warm_up) return static_cast<double>(step) / static_cast<double>(warm_up);
  const double done =
      static_cast<double>(step - warm_up) / static_cast<double>(std::max<int64_t>(1, steps - warm_up));
  return floor + (1.0 - floor) * 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(1.0, done)));
}

}  // namespace pare
