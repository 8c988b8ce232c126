// A mask of the values of a matrix that stay: N of every M consecutive columns of a row.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/matrix.h"
#include "tensor/pattern.h"

namespace pare {

struct Mask {
  Pattern pattern;
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<uint32_t> groups;  // rows × cols / M; bit i: column i of the group stays

  // Makes a mask that keeps nothing.
  Mask(Pattern of, int64_t n_rows, int64_t n_cols)
      : pattern(of), rows(n_rows), cols(n_cols), groups(static_cast<size_t>(n_rows * n_cols / of.group), 0u) {
    PARE_CHECK(n_cols % of.group == 0);
  }

  int64_t groups_per_row() const { return cols / pattern.group; }
  uint32_t& group(int64_t r, int64_t g) { return groups[static_cast<size_t>(r * groups_per_row() + g)]; }
  uint32_t group(int64_t r, int64_t g) const { return groups[static_cast<size_t>(r * groups_per_row() + g)]; }
  bool keeps(int64_t r, int64_t c) const {
    return (group(r, c / pattern.group) >> (c % pattern.group) & 1u) != 0;
  }
};

// Returns the N of M scores that are largest, the last of equal ones: an ascending stable sort that drops the
// first M − N, as most implementations do it. Weights from 4-bit blocks are often equal.
uint32_t best_of_group(const double* scores, Pattern pattern);
// Keeps the best scores of every group, scores (rows, cols).
Mask best_mask(MatrixView<const double> scores, Pattern pattern);
// Sets the values that the mask does not keep to +0.
void apply_mask(const Mask& mask, MatrixView<double> weight);

}  // namespace pare
