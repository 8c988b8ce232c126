#include "compress/solve/mask.h"

#include "base/parallel.h"

namespace pare {

uint32_t best_of_group(const double* scores, Pattern pattern) {
  uint32_t kept = 0;
  for (int32_t n = 0; n < pattern.kept; ++n) {
    int32_t best = -1;
    for (int32_t i = 0; i < pattern.group; ++i)
      if ((kept >> i & 1u) == 0 && (best < 0 || scores[i] >= scores[best])) best = i;
    kept |= 1u << best;
  }
  return kept;
}

Mask best_mask(MatrixView<const double> scores, Pattern pattern) {
  Mask mask(pattern, scores.rows, scores.cols);
  parallel_for(scores.rows, [&](int64_t r) {
    for (int64_t g = 0; g < mask.groups_per_row(); ++g)
      mask.group(r, g) = best_of_group(scores.row(r) + g * pattern.group, pattern);
  });
  return mask;
}

void apply_mask(const Mask& mask, MatrixView<double> weight) {
  parallel_for(weight.rows, [&](int64_t r) {
    for (int64_t c = 0; c < weight.cols; ++c)
      if (!mask.keeps(r, c)) weight(r, c) = 0.0;
  });
}

}  // namespace pare
