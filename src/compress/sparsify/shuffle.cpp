#include "compress/sparsify/shuffle.h"

#include <algorithm>
#include <numeric>

#include "base/parallel.h"
#include "compress/sparsify/mask.h"

namespace pare {
namespace {

constexpr int kMaxSweeps = 12;
// Score values that exchanges look at: samples of wide streams are thinned out, or wide layers would take
// minutes.
constexpr int64_t kMaxValues = int64_t{1} << 24;
constexpr int64_t kMinSamples = 1024;
constexpr double kEnough = 1e-4;  // a sweep that gains less of the kept score is the last

// Sorted by mean score, dealt over the groups to and fro: every group gets one of the best, one of the next …
std::vector<int64_t> deal(const ChannelScores& scores, Pattern pattern) {
  const int64_t n = scores.rows();
  std::vector<double> means(static_cast<size_t>(n));
  parallel_for(n, [&](int64_t c) {
    means[static_cast<size_t>(c)] = std::accumulate(scores.row(c), scores.row(c) + scores.cols(), 0.0);
  });
  std::vector<int64_t> sorted(static_cast<size_t>(n));
  std::iota(sorted.begin(), sorted.end(), 0);
  std::stable_sort(sorted.begin(), sorted.end(), [&](int64_t a, int64_t b) {
    return means[static_cast<size_t>(a)] > means[static_cast<size_t>(b)];
  });
  const int64_t groups = n / pattern.group;
  std::vector<int64_t> order(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const int64_t round = i / groups;
    const int64_t g = round % 2 == 0 ? i % groups : groups - 1 - i % groups;
    order[static_cast<size_t>(g * pattern.group + round)] = sorted[static_cast<size_t>(i)];
  }
  return order;
}

// Exchanges of channels between the groups of one block. With x a place's score in a sample, a group that
// gives up place a and takes b keeps top(group without a) + max(0, x_b − threshold_a), where threshold_a is
// the N-th largest score that remains: the gains of all exchanges come from sums of max(0, x_b −
// threshold_a).
class BlockExchange {
 public:
  BlockExchange(const ChannelScores& scores, Pattern pattern, int64_t* order, int64_t places)
      : scores_(scores),
        pattern_(pattern),
        order_(order),
        places_(places),
        thresholds_(places, scores.cols()),
        without_(static_cast<size_t>(places)),
        kept_(static_cast<size_t>(places / pattern.group)),
        gained_(places, places) {}

  // One round of exchanges in disjoint groups; returns what they gain and sets `total` to what was kept.
  double sweep(double& total) {
    measure();
    total = std::accumulate(kept_.begin(), kept_.end(), 0.0);
    struct Candidate {
      double gain;
      int64_t a, b;
    };
    std::vector<Candidate> candidates;
    for (int64_t a = 0; a < places_; ++a)
      for (int64_t b = (a / pattern_.group + 1) * pattern_.group; b < places_; ++b) {
        const double gain = without_[static_cast<size_t>(a)] + without_[static_cast<size_t>(b)] +
                            static_cast<double>(gained_(a, b)) + static_cast<double>(gained_(b, a)) -
                            kept_[group_of(a)] - kept_[group_of(b)];
        if (gain > kEnough / static_cast<double>(places_) * total) candidates.push_back({gain, a, b});
      }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Candidate& x, const Candidate& y) { return x.gain > y.gain; });
    std::vector<bool> used(kept_.size(), false);
    double gain = 0.0;
    for (const Candidate& c : candidates) {
      if (used[group_of(c.a)] || used[group_of(c.b)]) continue;
      used[group_of(c.a)] = used[group_of(c.b)] = true;
      std::swap(order_[c.a], order_[c.b]);
      gain += c.gain;
    }
    return gain;
  }

 private:
  size_t group_of(int64_t place) const { return static_cast<size_t>(place / pattern_.group); }
  const float* channel(int64_t place) const { return scores_.row(order_[place]); }

  void measure() {
    for (int64_t g = 0; g < static_cast<int64_t>(kept_.size()); ++g) measure_group(g);
    for (int64_t a = 0; a < places_; ++a)
      for (int64_t b = 0; b < places_; ++b)
        if (group_of(a) != group_of(b)) gained_(a, b) = gain_of(thresholds_.row(a), channel(b));
  }

  float gain_of(const float* threshold, const float* x) const {
    // Independent partial sums, which the compiler keeps in vectors.
    float sums[16] = {};
    int64_t s = 0;
    for (; s + 16 <= scores_.cols(); s += 16)
      for (int64_t i = 0; i < 16; ++i) sums[i] += std::max(0.0f, x[s + i] - threshold[s + i]);
    float rest = 0.0f;
    for (; s < scores_.cols(); ++s) rest += std::max(0.0f, x[s] - threshold[s]);
    return std::accumulate(std::begin(sums), std::end(sums), rest);
  }

  void measure_group(int64_t g) {
    const int32_t m = pattern_.group;
    const int64_t first = g * m;
    double kept = 0.0;
    double lost[kMaxGroup] = {};  // by giving a place up, before another takes it
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

  const ChannelScores& scores_;
  Pattern pattern_;
  int64_t* order_;  // of the block's places
  int64_t places_;
  Matrix<float> thresholds_;     // (places, samples)
  std::vector<double> without_;  // (places): what the group keeps without that place
  std::vector<double> kept_;     // (groups)
  Matrix<float> gained_;         // (a, b): Σ max(0, x_b − threshold_a)
};

}  // namespace

ChannelScores channel_scores(std::span<const Matrix<double>> scores) {
  int64_t samples = 0;
  for (const Matrix<double>& s : scores) samples += s.rows();
  ChannelScores channels(scores.front().cols(), samples);
  int64_t first = 0;
  for (const Matrix<double>& s : scores) {
    const double sum = std::accumulate(s.data(), s.data() + s.size(), 0.0);
    const double unit = sum > 0.0 ? static_cast<double>(s.size()) / sum : 1.0;
    for (int64_t r = 0; r < s.rows(); ++r, ++first)
      for (int64_t c = 0; c < s.cols(); ++c) channels(c, first) = static_cast<float>(unit * s(r, c));
  }
  return channels;
}

namespace {

// Every k-th sample.
ChannelScores thinned(const ChannelScores& scores) {
  const int64_t wanted = std::max(kMinSamples, kMaxValues / std::max<int64_t>(1, scores.rows()));
  const int64_t stride = std::max<int64_t>(1, scores.cols() / wanted);
  ChannelScores some(scores.rows(), (scores.cols() + stride - 1) / stride);
  for (int64_t c = 0; c < some.rows(); ++c)
    for (int64_t s = 0; s < some.cols(); ++s) some(c, s) = scores(c, s * stride);
  return some;
}

}  // namespace

double kept_score(const ChannelScores& scores, const std::vector<int64_t>& order, Pattern pattern) {
  const auto groups = static_cast<int64_t>(order.size()) / pattern.group;
  std::vector<double> kept(static_cast<size_t>(groups), 0.0);
  parallel_for(groups, [&](int64_t g) {
    double x[kMaxGroup];
    for (int64_t s = 0; s < scores.cols(); ++s) {
      for (int32_t i = 0; i < pattern.group; ++i)
        x[i] = static_cast<double>(scores(order[static_cast<size_t>(g * pattern.group + i)], s));
      const uint32_t mask = best_of_group(x, pattern);
      for (int32_t i = 0; i < pattern.group; ++i)
        if ((mask >> i & 1u) != 0) kept[static_cast<size_t>(g)] += x[i];
    }
  });
  return std::accumulate(kept.begin(), kept.end(), 0.0);
}

std::vector<int64_t> shuffle_channels(const ChannelScores& scores, Pattern pattern,
                                      const ShuffleOptions& options) {
  const int64_t n = scores.rows();
  PARE_CHECK(n % pattern.group == 0);
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  if (options.global) {
    std::vector<int64_t> dealt = deal(scores, pattern);
    if (kept_score(scores, dealt, pattern) > kept_score(scores, order, pattern)) order = std::move(dealt);
  }
  if (!options.local) return order;
  const int64_t block = std::max<int64_t>(2, options.block / pattern.group) * pattern.group;
  const ChannelScores some = thinned(scores);
  parallel_for((n + block - 1) / block, [&](int64_t i) {
    const int64_t first = i * block;
    BlockExchange exchange(some, pattern, order.data() + first, std::min(block, n - first));
    for (int sweep = 0; sweep < kMaxSweeps; ++sweep) {
      double total = 0.0;
      if (exchange.sweep(total) <= kEnough * total) break;
    }
  });
  return order;
}

}  // namespace pare
