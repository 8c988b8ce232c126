#include "tensor/int4_group.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace pare {
namespace {

constexpr int32_t kMiddle = 8;
constexpr int32_t kMaxCode = 15;
// Ranges that are tried, in fortieths of that of the values: 0.55 to 1.10 times it.
constexpr int kSmallest = 22;
constexpr int kLargest = 44;
constexpr double kWhole = 40.0;

// Whole numbers of low..high for a step between them.
struct Grid {
  double inverse;  // inverse of the step
  double low;
  double high;

  double nearest(float x) const {
    constexpr double kRound = 0x1.8p52;  // adding and subtracting it rounds to nearest even
    return std::clamp((static_cast<double>(x) * inverse + kRound) - kRound, low, high);
  }
};

Grid grid_of(double step, double lowest, bool zero_points) {
  const double inverse = 1.0 / step;
  const double zero =
      zero_points ? std::clamp(std::nearbyint(-lowest * inverse), 0.0, double{kMaxCode}) : kMiddle;
  return {inverse, -zero, kMaxCode - zero};
}

Int4Group all_zero(int64_t n, float* codes) {
  std::fill_n(codes, n, static_cast<float>(kMiddle));
  return {0.0f, kMiddle};
}

float rounded(float scale, Encoding type) {
  float stored = 0.0f;
  std::byte bytes[sizeof(float)];
  encode_values(type, &scale, 1, bytes);
  decode_values(type, bytes, 1, &stored);
  return stored;
}

}  // namespace

Int4Group round_to_int4(const float* x, int64_t n, bool zero_points, float* codes, Encoding scale_type) {
  float lowest = 0.0f;
  float highest = 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    lowest = std::min(lowest, x[i]);
    highest = std::max(highest, x[i]);
  }
  // The step of range 1. In f64 the inverse of a tiny one is finite.
  const double step = zero_points ? (static_cast<double>(highest) - static_cast<double>(lowest)) / kMaxCode
                                  : static_cast<double>(std::max(highest, -lowest)) / (kMiddle - 1);
  if (!(step > 0.0)) return all_zero(n, codes);
  Grid best{};
  double gain = 0.0;  // the most that codes take off the sum of squares, with their best scale
  double scale = 0.0;
  for (int range = kSmallest; range <= kLargest; ++range) {
    const Grid grid = grid_of(range / kWhole * step, static_cast<double>(lowest), zero_points);
    double with_values = 0.0;
    double with_codes = 0.0;
    for (int64_t c = 0; c < n; ++c) {
      const double code = grid.nearest(x[c]);
      with_values += code * static_cast<double>(x[c]);
      with_codes += code * code;
    }
    // Σ(x − s·code)² is least at s = with_values / with_codes.
    if (with_values * with_values > gain * with_codes) {
      gain = with_values * with_values / with_codes;
      scale = with_values / with_codes;
      best = grid;
    }
  }
  auto stored = static_cast<float>(scale);
  if (scale_type != Encoding::kF32) {
    stored = rounded(stored, scale_type);
    if (stored == 0.0f) return all_zero(n, codes);
    best.inverse = 1.0 / static_cast<double>(stored);
  }
  for (int64_t c = 0; c < n; ++c) codes[c] = static_cast<float>(best.nearest(x[c]) - best.low);
  return {stored, static_cast<int32_t>(-best.low)};
}

}  // namespace pare
