#include "compress/sparsify/shuffle_error.h"

#include <algorithm>
#include <numeric>

#include "base/parallel.h"
#include "compress/solve/mask.h"
#include "compress/sparsify/block_exchange.h"
#include "linalg/linalg.h"

namespace pare {
namespace {

constexpr int kMaxSweeps = 12;
constexpr int64_t kMaxRows = 512;  // rows of the sample that judges
constexpr size_t kProposals = 4;   // exchanges looked at in a sweep, for every place
constexpr double kEnough = 1e-4;   // share of the error; a sweep that lowers it by less is the last

// Returns the deleted values of every row: w where the mask deletes, else 0.
Matrix<double> deleted_values(const std::vector<int64_t>& order, const ReaderRows& readers, Pattern pattern) {
  Matrix<double> deleted = Matrix<double>::zeros(readers.weights.rows(), readers.weights.cols());
  parallel_for(deleted.rows(), [&](int64_t row) {
    double scores[kMaxGroup];
    for (size_t first = 0; first < order.size(); first += static_cast<size_t>(pattern.group)) {
      for (int32_t i = 0; i < pattern.group; ++i)
        scores[i] = readers.scores(row, order[first + static_cast<size_t>(i)]);
      const uint32_t kept = best_of_group(scores, pattern);
      for (int32_t i = 0; i < pattern.group; ++i) {
        const int64_t c = order[first + static_cast<size_t>(i)];
        if ((kept >> i & 1u) == 0) deleted(row, c) = readers.weights(row, c);
      }
    }
  });
  return deleted;
}

// Returns deleted·H of every row.
Matrix<double> slopes(const Matrix<double>& deleted, const ReaderRows& readers) {
  Matrix<double> result(deleted.rows(), deleted.cols());
  const auto parts = static_cast<int64_t>(readers.grams.size());
  const int64_t rows = deleted.rows() / parts;
  for (int64_t p = 0; p < parts; ++p)
    gemm(false, false, 1.0, deleted.view().rows_of(p * rows, rows), readers.grams[static_cast<size_t>(p)],
         0.0, result.view().rows_of(p * rows, rows));
  return result;
}

// Returns every k-th row of every part.
ReaderRows sampled(const ReaderRows& all) {
  const auto parts = static_cast<int64_t>(all.grams.size());
  const int64_t rows = all.weights.rows() / parts;
  const int64_t stride = std::max<int64_t>(1, (all.weights.rows() + kMaxRows - 1) / kMaxRows);
  const int64_t kept = (rows + stride - 1) / stride;
  ReaderRows some = {Matrix<double>(parts * kept, all.scores.cols()),
                     Matrix<double>(parts * kept, all.scores.cols()), all.grams};
  for (int64_t p = 0; p < parts; ++p)
    for (int64_t r = 0; r < kept; ++r) {
      std::copy_n(all.scores.row(p * rows + r * stride), all.scores.cols(), some.scores.row(p * kept + r));
      std::copy_n(all.weights.row(p * rows + r * stride), all.scores.cols(), some.weights.row(p * kept + r));
    }
  return some;
}

// The error of one block as channels change places in it. It does not see what other blocks do meanwhile, so
// that these can be worked on side by side and the result does not depend on how many are.
class BlockError {
 public:
  // `deleted` and `slope` (rows, channels): only the block's channels are read and changed.
  BlockError(const ReaderRows& readers, Pattern pattern, int64_t* order, int64_t places,
             Matrix<double>& deleted, Matrix<double>& slope)
      : readers_(readers),
        pattern_(pattern),
        order_(order),
        places_(places),
        rows_per_gram_(readers.weights.rows() / static_cast<int64_t>(readers.grams.size())),
        deleted_(deleted),
        slope_(slope) {}

  double error() const {
    double sum = 0.0;
    for (int64_t row = 0; row < deleted_.rows(); ++row)
      for (int64_t i = 0; i < places_; ++i) sum += deleted_(row, order_[i]) * slope_(row, order_[i]);
    return sum;
  }

  // Returns the change of the error, if places a and b were exchanged.
  double change(int64_t a, int64_t b) {
    double sum = 0.0;
    for (int64_t row = 0; row < deleted_.rows(); ++row) {
      collect(row, a, b);
      const MatrixView<const double> gram = gram_of(row);
      for (int i = 0; i < changes_; ++i) {
        double product = 2.0 * slope_(row, channels_[i]);
        for (int j = 0; j < changes_; ++j) product += gram(channels_[i], channels_[j]) * by_[j];
        sum += by_[i] * product;
      }
    }
    return sum;
  }

  void exchange(int64_t a, int64_t b) {
    for (int64_t row = 0; row < deleted_.rows(); ++row) {
      collect(row, a, b);
      const MatrixView<const double> gram = gram_of(row);
      for (int i = 0; i < changes_; ++i) {
        deleted_(row, channels_[i]) += by_[i];
        for (int64_t p = 0; p < places_; ++p)
          slope_(row, order_[p]) += by_[i] * gram(channels_[i], order_[p]);
      }
    }
    std::swap(order_[a], order_[b]);
  }

 private:
  MatrixView<const double> gram_of(int64_t row) const {
    return readers_.grams[static_cast<size_t>(row / rows_per_gram_)];
  }

  // Collects changes of `deleted` in one row by exchanging two places.
  void collect(int64_t row, int64_t a, int64_t b) {
    changes_ = 0;
    add_group(row, a, order_[b]);
    add_group(row, b, order_[a]);
  }

  // Adds the group of `place`, whose channel there becomes `channel`.
  void add_group(int64_t row, int64_t place, int64_t channel) {
    const int64_t first = place / pattern_.group * pattern_.group;
    double scores[kMaxGroup];
    for (int32_t i = 0; i < pattern_.group; ++i)
      scores[i] = readers_.scores(row, first + i == place ? channel : order_[first + i]);
    const uint32_t kept = best_of_group(scores, pattern_);
    for (int32_t i = 0; i < pattern_.group; ++i) {
      const int64_t c = first + i == place ? channel : order_[first + i];
      const double now = (kept >> i & 1u) == 0 ? readers_.weights(row, c) : 0.0;
      const double by = now - deleted_(row, c);
      if (by == 0.0) continue;
      channels_[changes_] = c;
      by_[changes_++] = by;
    }
  }

  const ReaderRows& readers_;
  Pattern pattern_;
  int64_t* order_;
  int64_t places_;
  int64_t rows_per_gram_;
  Matrix<double>& deleted_;
  Matrix<double>& slope_;
  int changes_ = 0;
  int64_t channels_[2 * kMaxGroup];
  double by_[2 * kMaxGroup];
};

// One round of exchanges in disjoint groups, proposed by the kept score; returns by how much the error falls.
double sweep(BlockExchange& proposals, BlockError& block, int64_t places, double error) {
  const std::vector<ChannelExchange> found = proposals.best(-1.0, kProposals * static_cast<size_t>(places));
  std::vector<bool> used(static_cast<size_t>(places), false);
  double gain = 0.0;
  for (const ChannelExchange& e : found) {
    const size_t a = proposals.group_of(e.a);
    const size_t b = proposals.group_of(e.b);
    if (used[a] || used[b]) continue;
    const double change = block.change(e.a, e.b);
    if (change > -kEnough / static_cast<double>(places) * error) continue;
    block.exchange(e.a, e.b);
    used[a] = used[b] = true;
    gain -= change;
  }
  return gain;
}

}  // namespace

double masked_error(const std::vector<int64_t>& order, const ReaderRows& readers, Pattern pattern) {
  const Matrix<double> deleted = deleted_values(order, readers, pattern);
  const Matrix<double> slope = slopes(deleted, readers);
  return std::inner_product(deleted.data(), deleted.data() + deleted.size(), slope.data(), 0.0);
}

std::vector<int64_t> shuffle_by_error(std::vector<int64_t> order, const ReaderRows& readers, Pattern pattern,
                                      const ShuffleOptions& options) {
  const auto n = static_cast<int64_t>(order.size());
  const int64_t block = shuffle_block(pattern, options);
  const ReaderRows some = sampled(readers);
  const ChannelScores scores = channel_scores(std::span(&some.scores, 1));
  Matrix<double> deleted = deleted_values(order, some, pattern);
  Matrix<double> slope = slopes(deleted, some);
  parallel_for((n + block - 1) / block, [&](int64_t piece) {
    const int64_t first = piece * block;
    const int64_t places = std::min(block, n - first);
    BlockExchange proposals(scores, pattern, order.data() + first, places);
    BlockError state(some, pattern, order.data() + first, places, deleted, slope);
    const double error = state.error();
    for (int i = 0; i < kMaxSweeps; ++i)
      if (sweep(proposals, state, places, error) <= kEnough * error) break;
  });
  return order;
}

}  // namespace pare
