// Exchanges of channels between the groups of one block of columns, and their gains.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/matrix.h"
#include "tensor/pattern.h"

namespace pare {

// Scores, a channel a row: (channels, samples).
using ChannelScores = Matrix<float>;

// Channels of two places in different groups change places.
struct ChannelExchange {
  double gain = 0.0;  // gain of the kept score
  int64_t a = 0;      // places in the block
  int64_t b = 0;
};

// With x a place's score in a sample, a group that gives up place a and takes b keeps top(group without a) +
// max(0, x_b − threshold_a), where threshold_a is the N-th largest score that remains: the gains of all
// exchanges come from sums of max(0, x_b − threshold_a).
class BlockExchange {
 public:
  // Keeps a reference to scores (channels, samples). `order`: channels of the block's places, as they are.
  BlockExchange(const ChannelScores& scores, Pattern pattern, const int64_t* order, int64_t places);

  // Returns the `most` exchanges that gain most, each more than `share` of what is kept now, best first.
  std::vector<ChannelExchange> best(double share, size_t most);
  double kept() const;  // score, as measured by the last best()
  size_t group_of(int64_t place) const { return static_cast<size_t>(place / pattern_.group); }

 private:
  const float* channel(int64_t place) const { return scores_.row(order_[place]); }
  void measure();
  void measure_group(int64_t g);
  float gain_of(const float* threshold, const float* x) const;

  const ChannelScores& scores_;
  Pattern pattern_;
  const int64_t* order_;
  int64_t places_;
  Matrix<float> thresholds_;     // (places, samples)
  std::vector<double> without_;  // (places): score that the group keeps without that place
  std::vector<double> kept_;     // (groups): score that each keeps
  Matrix<float> gained_;         // (a, b): Σ max(0, x_b − threshold_a)
};

}  // namespace pare
