#include "compress/gram.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/linear.h"

namespace pare {
namespace {

constexpr int64_t kChunkTokens = 512;  // whose products are summed in f32
constexpr int64_t kPanel = 1024;       // columns of the result that are packed together
constexpr int64_t kRows = 256;         // rows of the result at once
constexpr int64_t kFewest = 64;        // channels or tokens that are worth tiles

bool has_tiles() { return active_isa() >= Isa::kAmx; }

// Xᵀ, (channels, tokens), rows of X times their weights.
Matrix<float> transposed(MatrixView<const float> x, const double* row_weights) {
  Matrix<float> t(x.cols, x.rows);
  constexpr int64_t kSquare = 16;
  parallel_for((x.cols + kSquare - 1) / kSquare, [&](int64_t i) {
    const int64_t end = std::min(x.cols, (i + 1) * kSquare);
    for (int64_t first = 0; first < x.rows; first += kSquare)
      for (int64_t c = i * kSquare; c < end; ++c)
        for (int64_t r = first; r < std::min(x.rows, first + kSquare); ++r)
          t(c, r) = row_weights == nullptr ? x(r, c) : static_cast<float>(row_weights[r] * x(r, c));
  });
  return t;
}

// C += A·Bᵀ for A (n, tokens), B (m, tokens); of the columns right of the diagonal only as many as come along
// when `lower`.
void add_products(const Matrix<float>& a, const Matrix<float>& b, bool lower, MatrixView<double> c) {
  Matrix<float> sum(kRows, std::min(kPanel, b.rows()));
  for (int64_t col = 0; col < b.rows(); col += kPanel) {
    const int64_t cols = std::min(kPanel, b.rows() - col);
    const auto packed =
        pack_linear(Weight::from_matrix(b.view().block(col, 0, cols, b.cols())), ComputeType::kBF16);
    for (int64_t row = lower ? col / kRows * kRows : 0; row < a.rows(); row += kRows) {
      const int64_t rows = std::min(kRows, a.rows() - row);
      packed->apply(a.view().block(row, 0, rows, a.cols()), sum.view().block(0, 0, rows, cols));
      parallel_for(rows, [&](int64_t r) {
        const float* from = sum.row(r);
        double* to = c.row(row + r) + col;
        for (int64_t q = 0; q < cols; ++q) to[q] += static_cast<double>(from[q]);
      });
    }
  }
}

}  // namespace

void gram_accumulate(MatrixView<const float> x, const double* row_weights, MatrixView<double> h) {
  PARE_CHECK(h.rows == x.cols && h.cols == x.cols);
  if (!has_tiles() || x.cols < kFewest || x.rows < kFewest) return gram_accumulate_f32(x, row_weights, h);
  for (int64_t t = 0; t < x.rows; t += kChunkTokens) {
    const MatrixView<const float> chunk = x.block(t, 0, std::min(kChunkTokens, x.rows - t), x.cols);
    const Matrix<float> right = transposed(chunk, nullptr);
    if (row_weights == nullptr)
      add_products(right, right, true, h);
    else
      add_products(transposed(chunk, row_weights + t), right, true, h);
  }
  mirror_lower(h);
}

void cross_accumulate(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights,
                      MatrixView<double> c) {
  PARE_CHECK(x.rows == y.rows && c.rows == x.cols && c.cols == y.cols);
  if (!has_tiles() || std::min(x.cols, y.cols) < kFewest || x.rows < kFewest)
    return cross_accumulate_f32(x, y, row_weights, c);
  for (int64_t t = 0; t < x.rows; t += kChunkTokens) {
    const int64_t tokens = std::min(kChunkTokens, x.rows - t);
    add_products(
        transposed(x.block(t, 0, tokens, x.cols), row_weights == nullptr ? nullptr : row_weights + t),
        transposed(y.block(t, 0, tokens, y.cols), nullptr), false, c);
  }
}

}  // namespace pare
