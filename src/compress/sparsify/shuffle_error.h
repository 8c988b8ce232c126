// Exchanges of channels by the true layer error Σ ‖(w − w')·H^½‖² of rows w that become sparse: unlike the
// kept score it knows that deleted channels of one row may cancel or add up (PermLLM, NeurIPS 2025, shows
// that a higher score can mean a larger error).
#pragma once

#include <cstdint>
#include <vector>

#include "compress/sparsify/shuffle.h"

namespace pare {

// Rows that read the channels. Rows of part p, `rows / grams.size()` each, have Gram matrix grams[p].
struct ReaderRows {
  Matrix<double> scores;                        // (rows, channels): they choose the mask
  Matrix<double> weights;                       // (rows, channels)
  std::vector<MatrixView<const double>> grams;  // (channels, channels)
};

// Returns a better order, starting from `order`: exchanges between the groups of a block, judged by a sample
// of the rows.
std::vector<int64_t> shuffle_by_error(std::vector<int64_t> order, const ReaderRows& readers, Pattern pattern,
                                      const ShuffleOptions& options);

// Returns the layer error of the masks that `order` leads to, over all rows.
double masked_error(const std::vector<int64_t>& order, const ReaderRows& readers, Pattern pattern);

}  // namespace pare
