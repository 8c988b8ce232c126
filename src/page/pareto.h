// Which of several models nobody would rather replace by another.
#pragma once

#include <cstddef>
#include <vector>

namespace pare {

// A model in a plot: less loss is better; of the other figure more, or less.
struct Tradeoff {
  double figure = 0.0;  // bytes, or tokens per second
  double loss = 0.0;    // KL
};

// Returns the indices of the points that no other is as good as in both figures and better than in one, by
// increasing figure. Of equal points all are returned.
std::vector<size_t> pareto_front(const std::vector<Tradeoff>& points, bool more_is_better);

}  // namespace pare
