#include "compress/quantize/round_rows.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "compress/solve/obs.h"
#include "tensor/row_grid.h"

namespace pare {
namespace {

constexpr int64_t kBlockColumns = 128;  // the columns after a block are updated by one matrix product

// Importance of each column for scales: H_cc, or ones.
std::vector<double> importances(MatrixView<const double> h, RoundingMethod method) {
  std::vector<double> result(static_cast<size_t>(h.rows), 1.0);
  if (method == RoundingMethod::kNearest) return result;
  for (int64_t c = 0; c < h.rows; ++c) result[static_cast<size_t>(c)] = h(c, c);
  return result;
}

void round_to_nearest(const std::vector<double>& importance, std::vector<RowGrid>& grids,
                      Matrix<double>& values) {
  parallel_for(values.rows(), [&](int64_t r) {
    RowGrid& grid = grids[static_cast<size_t>(r)];
    double* w = values.row(r);
    grid.round_row(w, importance.data());
    for (int64_t c = 0; c < values.cols(); ++c) w[c] = grid.value(c);
  });
}

// Rounds column by column; the columns behind make up for the error of each. In such a sweep an error at
// column c costs 1 / U_cc², which is its importance.
void round_with_feedback(const ObsFactor& factor, std::vector<RowGrid>& grids, Matrix<double>& values) {
  const MatrixView<const double> upper = factor.upper();
  std::vector<double> importance;
  for (int64_t c = 0; c < upper.rows; ++c) importance.push_back(1.0 / (upper(c, c) * upper(c, c)));
  parallel_for(values.rows(),
               [&](int64_t r) { grids[static_cast<size_t>(r)].begin(values.row(r), importance.data()); });
  obs_sweep(
      factor, grids.front().superblock(),
      [&](int64_t r) {
        return
            [&importance, &grid = grids[static_cast<size_t>(r)]](const double* w, int64_t c, double& value) {
              if (c % grid.block() == 0) grid.choose(w, importance.data(), c);
              value = grid.round(c, w[c]);
              return true;
            };
      },
      values);
}

// Descends along codes, scales and minima of one row in columns [first, last), one after the other: each
// becomes the best that it can be while all others stay. `residual`: the row of (target − values)·H, kept up
// to date in these columns. `w`: the row of values.
class RowDescent {
 public:
  RowDescent(MatrixView<const double> h, RowGrid& grid, double* w, double* residual, int64_t first,
             int64_t last)
      : h_(h), grid_(grid), w_(w), residual_(residual), first_(first), last_(last) {}

  void run() {
    const int64_t block = grid_.layout().block;
    for (int64_t c = first_; c < last_; c += block) {
      descend_codes(c, c + block);
      descend_scale(c, c + block);
      if (grid_.layout().largest_minimum > 0) descend_minimum(c, c + block);
    }
  }

 private:
  // Adds `change` to the value of column c.
  void change(int64_t c, double change) {
    w_[c] += change;
    const double* row = h_.row(c);
    for (int64_t j = first_; j < last_; ++j) residual_[j] -= change * row[j];
  }
  void descend_codes(int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const double rounded = grid_.round(c, w_[c] + residual_[c] / h_(c, c));
      if (rounded != w_[c]) change(c, rounded - w_[c]);
    }
  }
  // Moves a parameter that each value of the block holds `slope(c)` times.
  template <typename Slope, typename Move>
  void descend(int64_t begin, int64_t end, Slope slope, Move move) {
    double gradient = 0.0;
    double curvature = 0.0;
    for (int64_t c = begin; c < end; ++c) {
      gradient += slope(c) * residual_[c];
      double product = 0.0;
      for (int64_t j = begin; j < end; ++j) product += h_(c, j) * slope(j);
      curvature += slope(c) * product;
    }
    if (!(curvature > 0.0)) return;
    move(gradient / curvature);
    for (int64_t c = begin; c < end; ++c)
      if (const double value = grid_.value(c); value != w_[c]) change(c, value - w_[c]);
  }
  void descend_scale(int64_t begin, int64_t end) {
    const int64_t b = begin / grid_.layout().block;
    descend(
        begin, end, [&](int64_t c) { return grid_.level(c); },
        [&](double step) { grid_.move_scale(b, grid_.scale(b) + step); });
  }
  void descend_minimum(int64_t begin, int64_t end) {
    const int64_t b = begin / grid_.layout().block;
    descend(
        begin, end, [](int64_t) { return 1.0; },
        [&](double step) { grid_.move_minimum(b, grid_.minimum(b) + step); });
  }

  MatrixView<const double> h_;
  RowGrid& grid_;
  double* w_;
  double* residual_;
  int64_t first_;
  int64_t last_;
};

// Sweeps once over all columns.
void descend(MatrixView<const double> target, InputGram& gram, std::vector<RowGrid>& grids,
             Matrix<double>& values) {
  const MatrixView<const double> h = gram.matrix();
  const int64_t n = values.cols();
  Matrix<double> residual(values.rows(), n);
  for (int64_t r = 0; r < values.rows(); ++r)
    for (int64_t c = 0; c < n; ++c) residual(r, c) = target(r, c) - values(r, c);
  gram.product().apply(residual, residual);
  Matrix<double> change(values.rows(), kBlockColumns);
  for (int64_t first = 0; first < n; first += kBlockColumns) {
    const int64_t last = std::min(n, first + kBlockColumns);
    parallel_for(values.rows(), [&](int64_t r) {
      double* w = values.row(r);
      std::copy(w + first, w + last, change.row(r));
      RowDescent(h, grids[static_cast<size_t>(r)], w, residual.row(r), first, last).run();
      for (int64_t c = first; c < last; ++c) change(r, c - first) = w[c] - change(r, c - first);
    });
    if (last == n) break;
    gemm(false, false, -1.0, std::as_const(change).view().block(0, 0, values.rows(), last - first),
         h.block(first, last, last - first, n - last), 1.0,
         residual.view().block(0, last, values.rows(), n - last));
  }
}

}  // namespace

Matrix<double> round_rows(MatrixView<const double> target, InputGram& gram, const QuantizeOptions& options,
                          Encoding encoding, std::byte* bytes) {
  const int64_t n = target.cols;
  std::vector<RowGrid> grids(static_cast<size_t>(target.rows), RowGrid(encoding, n));
  Matrix<double> values = copy_of(target);
  if (options.method == RoundingMethod::kFeedback) {
    round_with_feedback(gram.obs(), grids, values);
    for (int64_t sweep = 0; sweep < options.sweeps; ++sweep) descend(target, gram, grids, values);
  } else {
    round_to_nearest(importances(gram.matrix(), options.method), grids, values);
  }
  const int64_t stride = row_bytes(encoding, n);
  parallel_for(target.rows, [&](int64_t r) {
    put_row_codes(encoding, grids[static_cast<size_t>(r)].codes(), bytes + r * stride);
  });
  return values;
}

}  // namespace pare
