#include "train/adam.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"

namespace pare {
namespace {

constexpr size_t kPiece = size_t{1} << 15;

size_t pieces_of(size_t values) { return (values + kPiece - 1) / kPiece; }

// Calls work(first, end) for pieces of an array, in parallel.
template <typename Work>
void for_each_piece(size_t values, Work&& work) {
  parallel_for(static_cast<int64_t>(pieces_of(values)), [&](int64_t piece) {
    const size_t first = static_cast<size_t>(piece) * kPiece;
    work(first, std::min(values, first + kPiece));
  });
}

}  // namespace

void adam_step(const AdamArrays& arrays, const AdamOptions& options, int64_t step, double rate,
               double scale) {
  const size_t size = arrays.values.size();
  PARE_CHECK(arrays.gradient.size() == size && arrays.mean.size() == size && arrays.squares.size() == size);
  const auto beta1 = static_cast<float>(options.beta1);
  const auto beta2 = static_cast<float>(options.beta2);
  const auto epsilon = static_cast<float>(options.epsilon);
  const auto s = static_cast<float>(scale);
  const auto steps = static_cast<double>(step);
  const auto step_size = static_cast<float>(rate / (1.0 - std::pow(options.beta1, steps)));
  const auto unbias = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(options.beta2, steps)));
  for_each_piece(size, [&](size_t first, size_t end) {
    float* values = arrays.values.data();
    float* mean = arrays.mean.data();
    float* squares = arrays.squares.data();
    const float* gradient = arrays.gradient.data();
    for (size_t i = first; i < end; ++i) {
      const float g = s * gradient[i];
      const float m = mean[i] = beta1 * mean[i] + (1.0f - beta1) * g;
      const float v = squares[i] = beta2 * squares[i] + (1.0f - beta2) * g * g;
      values[i] -= step_size * m / (std::sqrt(v) * unbias + epsilon);
    }
  });
}

double norm_of(std::span<const float> values) {
  std::vector<double> sums(pieces_of(values.size()));
  for_each_piece(values.size(), [&](size_t first, size_t end) {
    double sum = 0.0;
    for (size_t i = first; i < end; ++i)
      sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
    sums[first / kPiece] = sum;
  });
  return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
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
