#include "compress/sparsify/shuffle.h"

#include <algorithm>
#include <numeric>

#include "base/parallel.h"
#include "compress/solve/mask.h"

namespace pare {
namespace {

constexpr int kMaxSweeps = 12;
// Score values that exchanges look at: samples of wide streams are thinned out, or wide layers would take
// minutes.
constexpr int64_t kMaxValues = int64_t{1} << 24;
constexpr int64_t kMinSamples = 1024;
constexpr double kEnough = 1e-4;  // a sweep that gains less of the kept score is the last

// Deals the channels to groups in snake order by mean score: each gets one of the best, one of the next …
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

// One round of exchanges in disjoint groups; returns whether it gained enough for another.
bool sweep(BlockExchange& exchange, int64_t* order, int64_t places, Pattern pattern) {
  const auto all = static_cast<size_t>(places * places);
  const std::vector<ChannelExchange> found = exchange.best(kEnough / static_cast<double>(places), all);
  std::vector<bool> used(static_cast<size_t>(places / pattern.group), false);
  double gain = 0.0;
  for (const ChannelExchange& e : found) {
    const size_t a = exchange.group_of(e.a);
    const size_t b = exchange.group_of(e.b);
    if (used[a] || used[b]) continue;
    used[a] = used[b] = true;
    std::swap(order[e.a], order[e.b]);
    gain += e.gain;
  }
  return gain > kEnough * exchange.kept();
}

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

int64_t shuffle_block(Pattern pattern, const ShuffleOptions& options) {
  return std::max<int64_t>(2, options.block / pattern.group) * pattern.group;
}

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
  const int64_t block = shuffle_block(pattern, options);
  const ChannelScores some = thinned(scores);
  parallel_for((n + block - 1) / block, [&](int64_t piece) {
    const int64_t first = piece * block;
    const int64_t places = std::min(block, n - first);
    BlockExchange exchange(some, pattern, order.data() + first, places);
    for (int i = 0; i < kMaxSweeps; ++i)
      if (!sweep(exchange, order.data() + first, places, pattern)) break;
  });
  return order;
}

}  // namespace pare
