// Eight-bit weights with one scale a row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace pare {

// Rounds n values to whole numbers of -127..127 (nearest even), kept as f32, and returns the scale, the
// largest magnitude / 127, that brings them back: x ≈ scale · rounded. A row of zeros has scale 0. `rounded`
// may be x.
inline float round_to_int8(const float* x, int64_t n, float* rounded) {
  float largest = 0.0f;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(x[i]));
  const float scale = largest / 127.0f;
  // Uses f64, where neither the inverse of a tiny magnitude overflows nor the largest value misses 127.
  const double inverse = largest > 0.0f ? 127.0 / static_cast<double>(largest) : 0.0;
  constexpr double kRound = 0x1.8p52;  // adding and subtracting it rounds to nearest even
  for (int64_t i = 0; i < n; ++i)
    rounded[i] = static_cast<float>((static_cast<double>(x[i]) * inverse + kRound) - kRound);
  return scale;
}

}  // namespace pare
