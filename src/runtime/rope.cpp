#include "runtime/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace pare {
namespace {

constexpr double kTurn = 2.0 * std::numbers::pi;

// YaRN (Peng et al. 2023): the share of its own frequency that each pair keeps. It is 1 for pairs that turn
// more than beta_fast times within the original context, and falls to 0 below beta_slow. transformers and
// llama.cpp put the ends of the ramp on whole pairs.
class YarnRamp {
 public:
  YarnRamp(const RopeConfig& rope, int64_t rotary_dim) {
    const auto dim = static_cast<double>(rotary_dim);
    const auto pair_with = [&](double turns) {
      return dim * std::log(rope.original_max_position / (turns * kTurn)) / (2.0 * std::log(rope.theta));
    };
    const double low = pair_with(rope.beta_fast);
    const double high = pair_with(rope.beta_slow);
    low_ = std::max(rope.truncate ? std::floor(low) : low, 0.0);
    high_ = std::min(rope.truncate ? std::ceil(high) : high, dim - 1.0);
    if (low_ == high_) high_ += 0.001;
  }
  double kept(int64_t pair) const {
    return 1.0 - std::clamp((static_cast<double>(pair) - low_) / (high_ - low_), 0.0, 1.0);
  }

 private:
  double low_ = 0.0;
  double high_ = 0.0;
};

// LLaMA-3.1: long wavelengths are stretched by `factor`, short ones stay, a linear blend lies between.
double llama3_kept(const RopeConfig& rope, double frequency) {
  const double turns = rope.original_max_position * frequency / kTurn;
  const double blend = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return std::clamp(blend, 0.0, 1.0);
}

// Returns whether a sequence is rotated with the divisors of long ones.
bool is_long(const RopeConfig& rope, int64_t room) {
  return rope.scaling == RopeScaling::kLongrope && static_cast<double>(room) > rope.original_max_position;
}

}  // namespace

double yarn_attention_factor(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

std::vector<double> rope_frequencies(const RopeConfig& rope, int64_t rotary_dim, int64_t room) {
  const YarnRamp ramp(rope, rotary_dim);
  const std::vector<float>& divisors = is_long(rope, room) ? rope.long_divisors : rope.divisors;
  std::vector<double> frequencies;
  for (int64_t i = 0; i < rotary_dim / 2; ++i) {
    const double plain =
        std::pow(rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(rotary_dim));
    const auto blend = [&](double kept) { return kept * plain + (1.0 - kept) * plain / rope.factor; };
    switch (rope.scaling) {
      case RopeScaling::kNone:
      case RopeScaling::kDynamic:
        frequencies.push_back(plain);
        break;
      case RopeScaling::kLinear:
        frequencies.push_back(plain / rope.factor);
        break;
      case RopeScaling::kLlama3:
        frequencies.push_back(blend(llama3_kept(rope, plain)));
        break;
      case RopeScaling::kYarn:
        frequencies.push_back(blend(ramp.kept(i)));
        break;
      case RopeScaling::kDivisors:
      case RopeScaling::kLongrope:
        frequencies.push_back(plain / divisors[static_cast<size_t>(i)]);
        break;
    }
  }
  return frequencies;
}

RotaryTable make_rope_table(const RopeConfig& rope, int64_t rotary_dim, std::span<const RopeRange> ranges,
                            const Backend& backend) {
  int64_t rows = 0;
  for (const RopeRange& range : ranges) rows += range.tokens;
  Matrix<float> cos(rows, rotary_dim / 2);
  Matrix<float> sin(rows, rotary_dim / 2);
  std::vector<double> frequencies[2];  // frequencies for short sequences, then for long ones
  int64_t row = 0;
  for (const RopeRange& range : ranges) {
    std::vector<double>& of_range = frequencies[is_long(rope, range.room) ? 1 : 0];
    if (of_range.empty()) of_range = rope_frequencies(rope, rotary_dim, range.room);
    for (int64_t t = 0; t < range.tokens; ++t, ++row)
      for (int64_t i = 0; i < rotary_dim / 2; ++i) {
        const double angle = static_cast<double>(range.first + t) * of_range[static_cast<size_t>(i)];
        cos(row, i) = static_cast<float>(std::cos(angle) * rope.attention_factor);
        sin(row, i) = static_cast<float>(std::sin(angle) * rope.attention_factor);
      }
  }
  return {backend.upload(std::move(cos)), backend.upload(std::move(sin))};
}

std::vector<int64_t> sequence_positions(int64_t sequences, int64_t length) {
  std::vector<int64_t> positions;
  positions.reserve(static_cast<size_t>(sequences * length));
  for (int64_t s = 0; s < sequences; ++s)
    for (int64_t t = 0; t < length; ++t) positions.push_back(t);
  return positions;
}

RotaryTable sequence_rope(const ModelConfig& config, int64_t sequences, int64_t length,
                          const Backend& backend) {
  const std::vector<RopeRange> ranges(static_cast<size_t>(sequences), {0, length, length});
  return make_rope_table(config.rope, config.rotary_dim, ranges, backend);
}

}  // namespace pare
