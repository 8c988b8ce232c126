// N:M weights: finding the pattern of a matrix, and storing it in one.
#pragma once

#include <cstdint>
#include <string_view>

#include "tensor/weight.h"

namespace pare {

struct Sparsity {
  int64_t zeros = 0;  // zeros among the rows × cols values; −0.0 counts
  // N:M with M of 2, 4, 8, 16 or 32 that needs the fewest bits in `stored`, a mask of one bit per value
  // included; dense when that is no fewer, or `stored` a block encoding. Of equal ones the first of M = 4, 2,
  // 8, 16, 32.
  Pattern pattern;
};
Sparsity measure_sparsity(const Weight& weight, Encoding stored);

// Returns whether every row of pattern `a` has pattern `b` too: 2:4 implies 4:8, and any implies dense.
constexpr bool implies(Pattern a, Pattern b) {
  if (a.dense() || b.dense()) return b.dense();
  return b.group % a.group == 0 && a.kept * (b.group / a.group) <= b.kept;
}

// Pattern that the values follow, as measure_sparsity finds it in 16 bits: dense weights are told from their
// first rows.
Pattern followed_pattern(const Weight& weight);

// True if to_pattern works: the pattern divides the columns and no group has more non-zeros than it keeps.
bool can_store(const Weight& weight, Pattern pattern);

// Stores the values in another pattern, each zero as +0.0; returns `weight` when it has that pattern already.
// Codes and scales stay as they are; codes whose scale is 0 become that of zero. A group with fewer non-zeros
// than the pattern keeps stores its first zeros too. `name` is that of the tensor. Throws kInvalid naming row
// and columns when a group has more non-zeros, kFormat when the pattern does not divide the columns or the
// groups of a scale. Not for block encodings.
Weight to_pattern(const Weight& weight, Pattern pattern, std::string_view name);

// Stores the values in another format: rounded as Weight::from_matrix does if more than the pattern changes,
// then as to_pattern. Zeros of an N:M weight become +0.0 (those of a dense one keep their sign when it stays
// dense). Throws what these two throw.
Weight to_format(const Weight& weight, const WeightFormat& format, std::string_view name);

// Checks what decode_row relies on: the mask marks exactly N columns of each group and none beyond the last,
// scales are finite and not negative, zero points are codes. Throws kFormat with `name`, the row and what was
// found.
void check_parts(const Weight& weight, std::string_view name);

}  // namespace pare
