// The normaliser of a softmax, as exact as figures that people compare need it.
#pragma once

#include <cstdint>
#include <span>

namespace pare {

// Vector operations sum in f32: short pieces of so many values, added in f64, keep the error of a whole
// vocabulary small.
inline constexpr int64_t kSumPiece = 1024;

// Replaces values by e^(value − max), max being the largest of them; returns the sum of these. Exponentials
// in f32, their sum in f64.
double exp_sum(std::span<float> values, float max);

// ln Σ e^value, max being the largest of them. Overwrites the values.
double log_sum_exp(std::span<float> values, float max);

}  // namespace pare
