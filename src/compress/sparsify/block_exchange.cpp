#include "compress/sparsify/block_exchange.h"

#include <algorithm>
#include <numeric>

#include "compress/solve/mask.h"

namespace pare {

BlockExchange::BlockExchange(const ChannelScores& scores, Pattern pattern, const int64_t* order,
                             int64_t places)
    : scores_(scores),
      pattern_(pattern),
      order_(order),
      places_(places),
      thresholds_(places, scores.cols()),
      without_(static_cast<size_t>(places)),
      kept_(static_cast<size_t>(places / pattern.group)),
      gained_(places, places) {}

std::vector<ChannelExchange> BlockExchange::best(double share, size_t most) {
  measure();
  const double floor = share * kept();
  std::vector<ChannelExchange> found;
  for (int64_t a = 0; a < places_; ++a)
    for (int64_t b = (a / pattern_.group + 1) * pattern_.group; b < places_; ++b) {
      const double gain = without_[static_cast<size_t>(a)] + without_[static_cast<size_t>(b)] +
                          static_cast<double>(gained_(a, b)) + static_cast<double>(gained_(b, a)) -
                          kept_[group_of(a)] - kept_[group_of(b)];
      if (gain > floor) found.push_back({gain, a, b});
    }
  std::stable_sort(found.begin(), found.end(),
                   [](const ChannelExchange& x, const ChannelExchange& y) { return x.gain > y.gain; });
  if (found.size() > most) found.resize(most);
  return found;
}

double BlockExchange::kept() const { return std::accumulate(kept_.begin(), kept_.end(), 0.0); }

void BlockExchange::measure() {
  for (int64_t g = 0; g < static_cast<int64_t>(kept_.size()); ++g) measure_group(g);
  for (int64_t a = 0; a < places_; ++a)
    for (int64_t b = 0; b < places_; ++b)
      if (group_of(a) != group_of(b)) gained_(a, b) = gain_of(thresholds_.row(a), channel(b));
}

float BlockExchange::gain_of(const float* threshold, const float* x) const {
  // Independent partial sums, which the compiler keeps in vectors.
  float sums[16] = {};
  int64_t s = 0;
  for (; s + 16 <= scores_.cols(); s += 16)
    for (int64_t i = 0; i < 16; ++i) sums[i] += std::max(0.0f, x[s + i] - threshold[s + i]);
  float rest = 0.0f;
  for (; s < scores_.cols(); ++s) rest += std::max(0.0f, x[s] - threshold[s]);
  return std::accumulate(std::begin(sums), std::end(sums), rest);
}

void BlockExchange::measure_group(int64_t g) {
  const int32_t m = pattern_.group;
  const int64_t first = g * m;
  double kept = 0.0;
  double lost[kMaxGroup] = {};  // loss by giving a place up, before another takes it
  for (int64_t s = 0; s < scores_.cols(); ++s) {
    double x[kMaxGroup];
    for (int32_t i = 0; i < m; ++i) x[i] = static_cast<double>(channel(first + i)[s]);
    const uint32_t mask = best_of_group(x, pattern_);
    double smallest_kept = 0.0;
    double largest_lost = 0.0;
    bool any_kept = false;
    bool any_lost = false;
    for (int32_t i = 0; i < m; ++i) {
      if ((mask >> i & 1u) != 0) {
        kept += x[i];
        smallest_kept = any_kept ? std::min(smallest_kept, x[i]) : x[i];
        any_kept = true;
      } else {
        largest_lost = any_lost ? std::max(largest_lost, x[i]) : x[i];
        any_lost = true;
      }
    }
    for (int32_t i = 0; i < m; ++i) {
      const bool stays = (mask >> i & 1u) != 0;
      if (stays) lost[i] += x[i] - largest_lost;
      thresholds_(first + i, s) = static_cast<float>(stays ? largest_lost : smallest_kept);
    }
  }
  kept_[static_cast<size_t>(g)] = kept;
  for (int32_t i = 0; i < m; ++i) without_[static_cast<size_t>(first + i)] = kept - lost[i];
}

}  // namespace pare
