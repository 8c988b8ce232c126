#include "compress/quantize/round_rows.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
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

// Returns Σ a·b of n values, a multiple of the lanes.
float dot(const float* a, const float* b, int64_t n) {
  constexpr int64_t kLanes = 8;
  float sums[kLanes] = {};
  for (int64_t i = 0; i < n; i += kLanes)
    for (int64_t j = 0; j < kLanes; ++j) sums[j] += a[i + j] * b[i + j];
  float sum = 0.0f;
  for (const float lane : sums) sum += lane;
  return sum;
}

// Descends along codes, scales and minima of one row in neighbouring columns, one after the other: each
// becomes the best that it can be while all others stay. These steps are f32, as the residual is.
class RowDescent {
 public:
  // `h` (count, count): H among these columns, of which `first` is the first. `w` (count): their values;
  // `residual` (count): theirs of (target − values)·H.
  RowDescent(MatrixView<const float> h, RowGrid& grid, int64_t first, double* w, const double* residual)
      : h_(h), grid_(grid), block_(grid.layout().block), first_(first), w_(w) {
    std::transform(residual, residual + h.rows, residual_.begin(),
                   [](double value) { return static_cast<float>(value); });
  }

  void run() {
    for (int64_t begin = 0; begin < h_.rows; begin += block_) {
      descend_codes(begin);
      descend_scale(begin);
      if (grid_.layout().largest_minimum > 0) descend_minimum(begin);
    }
  }

 private:
  // Adds `change` to the value of column c of a block. Nothing asks for residuals before the block any more.
  void change(int64_t begin, int64_t c, double change) {
    w_[c] += change;
    const auto step = static_cast<float>(change);
    const float* row = h_.row(c);
    for (int64_t j = begin; j < h_.rows; ++j) residual_[static_cast<size_t>(j)] -= step * row[j];
  }
  void descend_codes(int64_t begin) {
    for (int64_t c = begin; c < begin + block_; ++c) {
      const float wanted = residual_[static_cast<size_t>(c)] / h_(c, c);
      const double rounded = grid_.round(first_ + c, w_[c] + static_cast<double>(wanted));
      if (rounded != w_[c]) change(begin, c, rounded - w_[c]);
    }
  }
  // Moves a parameter of the block that value c holds `slopes[c]` times.
  template <typename Move>
  void descend(int64_t begin, const float* slopes, Move move) {
    float curvature = 0.0f;
    for (int64_t c = 0; c < block_; ++c)
      curvature += slopes[c] * dot(h_.row(begin + c) + begin, slopes, block_);
    if (!(curvature > 0.0f)) return;
    move(static_cast<double>(dot(residual_.data() + begin, slopes, block_) / curvature));
    for (int64_t c = begin; c < begin + block_; ++c)
      if (const double value = grid_.value(first_ + c); value != w_[c]) change(begin, c, value - w_[c]);
  }
  void descend_scale(int64_t begin) {
    std::array<float, kBlockColumns> levels;
    for (int64_t c = 0; c < block_; ++c)
      levels[static_cast<size_t>(c)] = static_cast<float>(grid_.level(first_ + begin + c));
    const int64_t b = (first_ + begin) / block_;
    descend(begin, levels.data(), [&](double step) { grid_.move_scale(b, grid_.scale(b) + step); });
  }
  void descend_minimum(int64_t begin) {
    std::array<float, kBlockColumns> ones;
    ones.fill(1.0f);
    const int64_t b = (first_ + begin) / block_;
    descend(begin, ones.data(), [&](double step) { grid_.move_minimum(b, grid_.minimum(b) + step); });
  }

  MatrixView<const float> h_;
  RowGrid& grid_;
  int64_t block_;
  int64_t first_;
  double* w_;
  std::array<float, kBlockColumns> residual_;
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
  Matrix<float> among(kBlockColumns, kBlockColumns);  // H among the columns of a block
  for (int64_t first = 0; first < n; first += kBlockColumns) {
    const int64_t last = std::min(n, first + kBlockColumns);
    const int64_t count = last - first;
    for (int64_t r = 0; r < count; ++r)
      for (int64_t c = 0; c < count; ++c) among(r, c) = static_cast<float>(h(first + r, first + c));
    parallel_for(values.rows(), [&](int64_t r) {
      double* w = values.row(r) + first;
      std::copy(w, w + count, change.row(r));
      RowDescent(std::as_const(among).view().block(0, 0, count, count), grids[static_cast<size_t>(r)], first,
                 w, residual.row(r) + first)
          .run();
      for (int64_t c = 0; c < count; ++c) change(r, c) = w[c] - change(r, c);
    });
    if (last == n) break;
    gemm(false, false, -1.0, std::as_const(change).view().block(0, 0, values.rows(), last - first),
         h.block(first, last, last - first, n - last), 1.0,
         residual.view().block(0, last, values.rows(), n - last));
  }
}

Matrix<double> rounded_to_floats(MatrixView<const double> target, Encoding encoding, std::byte* bytes) {
  Matrix<double> values(target.rows, target.cols);
  const int64_t stride = row_bytes(encoding, target.cols);
  parallel_for(target.rows, [&](int64_t r) {
    std::vector<float> row(target.row(r), target.row(r) + target.cols);
    encode_values(encoding, row.data(), target.cols, bytes + r * stride);
    decode_values(encoding, bytes + r * stride, target.cols, row.data());
    std::copy(row.begin(), row.end(), values.row(r));
  });
  return values;
}

}  // namespace

Matrix<double> round_rows(MatrixView<const double> target, InputGram& gram, const QuantizeOptions& options,
                          Encoding encoding, std::byte* bytes) {
  const int64_t n = target.cols;
  if (is_float(encoding)) return rounded_to_floats(target, encoding, bytes);
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

Weight encoded_weight(Encoding encoding, int64_t rows, int64_t cols,
                      const std::function<void(std::byte* bytes)>& fill) {
  const auto buffer =
      std::make_shared<AlignedBuffer<std::byte>>(static_cast<size_t>(rows * row_bytes(encoding, cols)));
  fill(buffer->data());
  Weight weight;
  weight.format = encoding;
  weight.rows = rows;
  weight.cols = cols;
  weight.data = buffer->data();
  weight.owner = buffer;
  return weight;
}

}  // namespace pare
