#include "page/pareto.h"

#include <algorithm>

namespace pare {

std::vector<size_t> pareto_front(const std::vector<Tradeoff>& points, bool more_is_better) {
  const auto beats = [&](const Tradeoff& a, const Tradeoff& b) {
    const double gain = more_is_better ? a.figure - b.figure : b.figure - a.figure;
    return gain >= 0.0 && a.loss <= b.loss && (gain > 0.0 || a.loss < b.loss);
  };
  std::vector<size_t> front;
  for (size_t i = 0; i < points.size(); ++i)
    if (std::none_of(points.begin(), points.end(), [&](const Tradeoff& p) { return beats(p, points[i]); }))
      front.push_back(i);
  std::stable_sort(front.begin(), front.end(),
                   [&](size_t a, size_t b) { return points[a].figure < points[b].figure; });
  return front;
}

}  // namespace pare
