// Spending one budget, of parameters, bytes or time, over many streams or matrices.
#pragma once

#include <cstddef>
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
// large cut is not hidden behind an expensive small one. The last step is shortened, to a width that is a
// multiple of `granularity`, when that suffices. Throws kInvalid when even the smallest widths do not remove
// enough.
std::vector<int64_t> allocate_widths(const std::vector<WidthCurve>& curves, int64_t parameters,
                                     int64_t granularity);

// Options of one thing, in any order: the price of each in whole units of any kind, such as bytes or
// nanoseconds, and its loss.
struct PricedOptions {
  std::vector<int64_t> price;
  std::vector<double> loss;
};

// Returns an index into the options of each thing, so that all cost at most `budget` at a small total loss.
// From the best of each, the steps of least loss per unit along the lower convex hulls are taken, which is
// best for the budget that it ends at (Lagrange). What is left over buys what lowers the loss most: a better
// option of one thing, or one better and one worse. Throws kInvalid naming the least price of all when it is
// too high.
std::vector<size_t> allocate_options(const std::vector<PricedOptions>& things, int64_t budget);

}  // namespace pare
