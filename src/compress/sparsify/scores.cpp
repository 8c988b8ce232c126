#include "compress/sparsify/scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/parallel.h"

namespace pare {
namespace {

constexpr int64_t kChannels = 16;  // read together: a cache line of every token

struct Extrema {
  float low = std::numeric_limits<float>::infinity();
  float high = -std::numeric_limits<float>::infinity();

  void add(const Extrema& other) {
    low = std::min(low, other.low);
    high = std::max(high, other.high);
  }
};

// Returns the result of add(all, other) over the values of all ranks, on every rank; order must not matter.
template <typename T, typename Add>
void combine(std::vector<T>& values, Comm& comm, const Add& add) {
  const std::vector<T> own = values;
  std::vector<T> other(values.size());
  for (int rank = 0; rank < comm.size(); ++rank) {
    if (rank == comm.rank()) other = own;
    comm.broadcast(rank, bytes_of(other.data(), static_cast<int64_t>(other.size())));
    if (rank == comm.rank()) continue;
    for (size_t i = 0; i < values.size(); ++i) add(values[i], other[i]);
  }
}

double entropy(std::span<const int64_t> counts, int64_t total) {
  double sum = 0.0;
  for (const int64_t count : counts) {
    if (count == 0) continue;
    const double p = static_cast<double>(count) / static_cast<double>(total);
    sum -= p * std::log(p);
  }
  return sum;
}

// Returns the factor of |W| in each column j.
std::vector<double> channel_factors(const ChannelStatistics& statistics, const ScoreOptions& options) {
  const size_t n = statistics.square_sums.size();
  std::vector<double> norms(n);
  for (size_t j = 0; j < n; ++j) norms[j] = std::sqrt(statistics.square_sums[j]);
  switch (options.method) {
    case SparseMethod::kWanda:
      return norms;
    case SparseMethod::kRia:
      for (double& norm : norms) norm = std::sqrt(norm);
      return norms;
    case SparseMethod::kEsparse: {
      double unit = 1.0;
      if (options.norm == NormScale::kRms) unit = std::sqrt(static_cast<double>(statistics.tokens));
      if (options.norm == NormScale::kRelative)
        unit = std::accumulate(norms.begin(), norms.end(), 0.0) / static_cast<double>(n);
      if (unit == 0.0) unit = 1.0;
      for (size_t j = 0; j < n; ++j) norms[j] = statistics.entropies[j] + options.alpha * norms[j] / unit;
      return norms;
    }
    default:
      return std::vector<double>(n, 1.0);
  }
}

double row_sum(MatrixView<const double> weight, int64_t r) {
  return std::accumulate(weight.row(r), weight.row(r) + weight.cols, 0.0,
                         [](double sum, double w) { return sum + std::abs(w); });
}

double share(double part, double whole) { return whole > 0.0 ? part / whole : 0.0; }

}  // namespace

void measure_weights(const Weight& weight, const ScoreOptions& options, ChannelStatistics& statistics) {
  if (options.method != SparseMethod::kRia) return;
  statistics.weight_sums.assign(static_cast<size_t>(weight.cols), 0.0);
  std::vector<float> row(static_cast<size_t>(weight.cols));
  for (int64_t r = 0; r < weight.rows; ++r) {
    decode_row(weight, r, row.data());
    for (size_t c = 0; c < row.size(); ++c)
      statistics.weight_sums[c] += std::abs(static_cast<double>(row[c]));
  }
}

std::vector<double> channel_entropies(MatrixView<const float> x, int64_t bins, Comm& comm) {
  const int64_t pieces = (x.cols + kChannels - 1) / kChannels;
  const auto channels_of = [&](int64_t piece) { return std::min(kChannels, x.cols - piece * kChannels); };
  std::vector<Extrema> extrema(static_cast<size_t>(x.cols));
  parallel_for(pieces, [&](int64_t piece) {
    Extrema* own = &extrema[static_cast<size_t>(piece * kChannels)];
    for (int64_t t = 0; t < x.rows; ++t)
      for (int64_t c = 0; c < channels_of(piece); ++c) {
        const float value = x(t, piece * kChannels + c);
        own[c].add({value, value});
      }
  });
  combine(extrema, comm, [](Extrema& all, const Extrema& other) { all.add(other); });
  std::vector<int64_t> counts(static_cast<size_t>(x.cols * bins), 0);
  parallel_for(pieces, [&](int64_t piece) {
    const int64_t first = piece * kChannels;
    double scale[kChannels];
    for (int64_t c = 0; c < channels_of(piece); ++c) {
      const Extrema& e = extrema[static_cast<size_t>(first + c)];
      const double range = static_cast<double>(e.high) - static_cast<double>(e.low);
      scale[c] = range > 0.0 ? static_cast<double>(bins) / range : 0.0;
    }
    for (int64_t t = 0; t < x.rows; ++t)
      for (int64_t c = 0; c < channels_of(piece); ++c) {
        const double low = static_cast<double>(extrema[static_cast<size_t>(first + c)].low);
        const double place = (static_cast<double>(x(t, first + c)) - low) * scale[c];
        ++counts[static_cast<size_t>((first + c) * bins + std::min(bins - 1, static_cast<int64_t>(place)))];
      }
  });
  combine(counts, comm, [](int64_t& all, int64_t other) { all += other; });
  std::vector<double> entropies;
  for (int64_t c = 0; c < x.cols; ++c) {
    const std::span<const int64_t> own(&counts[static_cast<size_t>(c * bins)], static_cast<size_t>(bins));
    entropies.push_back(entropy(own, std::accumulate(own.begin(), own.end(), int64_t{0})));
  }
  return entropies;
}

double entropy_spread(const std::vector<double>& entropies, Pattern pattern) {
  const auto groups = entropies.size() / static_cast<size_t>(pattern.group);
  double sum = 0.0;
  double squares = 0.0;
  for (size_t g = 0; g < groups; ++g) {
    const auto first = entropies.begin() + static_cast<int64_t>(g) * pattern.group;
    const double mean = std::accumulate(first, first + pattern.group, 0.0) / pattern.group;
    sum += mean;
    squares += mean * mean;
  }
  if (groups == 0) return 0.0;
  const double mean = sum / static_cast<double>(groups);
  return std::sqrt(std::max(0.0, squares / static_cast<double>(groups) - mean * mean));
}

Matrix<double> weight_scores(MatrixView<const double> weight, const ChannelStatistics& statistics,
                             const ScoreOptions& options) {
  PARE_CHECK(options.method != SparseMethod::kSparseGpt && options.method != SparseMethod::kAlps);
  Matrix<double> scores(weight.rows, weight.cols);
  const std::vector<double> factors = channel_factors(statistics, options);
  const bool ria = options.method == SparseMethod::kRia;
  PARE_CHECK(!ria || statistics.weight_sums.size() == factors.size());
  parallel_for(weight.rows, [&](int64_t r) {
    const double row = ria ? row_sum(weight, r) : 0.0;
    for (int64_t c = 0; c < weight.cols; ++c) {
      const double w = std::abs(weight(r, c));
      const double relative =
          ria ? share(w, row) + share(w, statistics.weight_sums[static_cast<size_t>(c)]) : w;
      scores(r, c) = relative * factors[static_cast<size_t>(c)];
    }
  });
  return scores;
}

}  // namespace pare
