// Orders of input channels in which important weights do not compete for the places of one group
// (channel shuffles, E-Sparse, arXiv 2310.15929, section 3.2).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compress/sparsify/block_exchange.h"
#include "tensor/matrix.h"
#include "tensor/pattern.h"

namespace pare {

struct ShuffleOptions {
  bool global = false;  // deal the channels over the groups by their mean score, in snake order
  bool local = false;   // then exchange channels between the groups of a block while the kept score grows
  int64_t block = 256;  // channels of a block

  // Exchanges inside a stage continue while the layer error falls (shuffle_by_error); else the kept score
  // decides.
  bool by_error = false;

  bool any() const { return global || local; }
};

// Channels of a block: whole groups, at least two.
int64_t shuffle_block(Pattern pattern, const ShuffleOptions& options);

// Returns scores (rows, channels) of linears that read the channels, as samples, each divided by its mean.
ChannelScores channel_scores(std::span<const Matrix<double>> scores);

// Returns the sum over the samples of what best_mask would keep, channels taken in the given order.
double kept_score(const ChannelScores& scores, const std::vector<int64_t>& order, Pattern pattern);

// Returns an order: place i is to hold channel order[i]. The number of channels is a multiple of M. Those of
// equal standing keep their order.
std::vector<int64_t> shuffle_channels(const ChannelScores& scores, Pattern pattern,
                                      const ShuffleOptions& options);

}  // namespace pare
