// Spending one budget of parameters over many streams.
#pragma once

#include <cstdint>
#include <vector>

namespace pare {

// One stream that may be cut: its cost in loss as a function of the width.
struct WidthCurve {
  int64_t parameters_per_width = 0;
  std::vector<int64_t> widths;  // decreasing, from the full width
  std::vector<double> loss;     // loss of each width: 0 at the full width, not decreasing
};

// Widths, one a curve, that remove at least `parameters` at the least total loss. From the full widths, the
// step of least loss per parameter along each curve's lower convex hull is taken repeatedly, so that a cheap
// large cut is not hidden behind an expensive small one. The last step is shortened to a multiple of
// `granularity` when that suffices. Throws kInvalid when even the smallest widths do not remove enough.
std::vector<int64_t> allocate_widths(const std::vector<WidthCurve>& curves, int64_t parameters,
                                     int64_t granularity);

}  // namespace pare
