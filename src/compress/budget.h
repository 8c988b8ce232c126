// Spending one budget, of parameters or of bytes, over many streams or matrices.
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
// large cut is not hidden behind an expensive small one. The last step is shortened to a multiple of
// `granularity` when that suffices. Throws kInvalid when even the smallest widths do not remove enough.
std::vector<int64_t> allocate_widths(const std::vector<WidthCurve>& curves, int64_t parameters,
                                     int64_t granularity);

// Sizes that one thing can have, in any order, with the loss of each.
struct SizeChoice {
  std::vector<int64_t> bytes;
  std::vector<double> loss;
};

// Returns an index into each choice, so that all take at most `bytes` at a small total loss. From the best of
// each, the steps of least loss per byte along the lower convex hulls are taken, which is best for the bytes
// that it ends at (Lagrange). What is left over buys what lowers the loss most: a better size of one thing,
// or one better and one worse. Throws kInvalid naming the least bytes when they are too many.
std::vector<size_t> allocate_bytes(const std::vector<SizeChoice>& choices, int64_t bytes);

}  // namespace pare
