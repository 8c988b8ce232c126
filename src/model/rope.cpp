#include "model/rope.h"

#include <cmath>
#include <numbers>

namespace pare {

std::vector<double> rope_frequencies(const RopeConfig& rope, int64_t rotary_dim) {
  std::vector<double> frequencies;
  for (int64_t i = 0; i < rotary_dim / 2; ++i) {
    double f = std::pow(rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(rotary_dim));
    if (rope.scaling == RopeScaling::kLinear) f /= rope.factor;
    if (rope.scaling == RopeScaling::kDivisors) f /= rope.divisors[static_cast<size_t>(i)];
    if (rope.scaling == RopeScaling::kLlama3) {
      // LLaMA-3.1: long wavelengths are stretched by `factor`, short ones stay, a linear blend lies between.
      const double turns = rope.original_max_position * f / (2.0 * std::numbers::pi);
      const double blend = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
      const double keep = std::min(1.0, std::max(0.0, blend));
      f = keep * f + (1.0 - keep) * f / rope.factor;
    }
    frequencies.push_back(f);
  }
  return frequencies;
}

RopeTable make_rope_table(const RopeConfig& rope, int64_t rotary_dim, std::span<const int64_t> positions) {
  const std::vector<double> frequencies = rope_frequencies(rope, rotary_dim);
  const auto rows = static_cast<int64_t>(positions.size());
  RopeTable table{Matrix<float>(rows, rotary_dim / 2), Matrix<float>(rows, rotary_dim / 2)};
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t i = 0; i < rotary_dim / 2; ++i) {
      const double angle =
          static_cast<double>(positions[static_cast<size_t>(t)]) * frequencies[static_cast<size_t>(i)];
      table.cos(t, i) = static_cast<float>(std::cos(angle));
      table.sin(t, i) = static_cast<float>(std::sin(angle));
    }
  }
  return table;
}

}  // namespace pare
