#include "compress/gram.h"

#include <algorithm>

#include "base/parallel.h"
#include "compress/bf16_split.h"
#include "kernels/linear.h"

namespace pare {
namespace {

constexpr int64_t kChunkTokens = 512;      // whose products are summed in f32
constexpr int64_t kPanel = 1024;           // columns of the result that are packed together
constexpr int64_t kRows = 256;             // rows of the result at once
constexpr int64_t kFewestChannels = 1024;  // of both sides, and
constexpr int64_t kFewestTokens = 64;      // where three products on tiles take less time than one in f32

bool use_tiles(int64_t tokens, int64_t channels) {
  return active_isa() >= Isa::kAmx && channels >= kFewestChannels && tokens >= kFewestTokens;
}

enum class Side { kLeft, kRight };

// Xᵀ, rows of X times their weights, in parts: with a the bf16 part of X and b that of the rest, the left
// side (channels, 3·tokens) is (a | a | b), the right one (a | b | a), so that left·rightᵀ = aᵀa + aᵀb + bᵀa.
Matrix<float> transposed_parts(MatrixView<const float> x, const double* row_weights, Side side) {
  const int64_t tokens = x.rows;
  Matrix<float> t(x.cols, 3 * tokens);
  constexpr int64_t kSquare = 16;
  parallel_for((x.cols + kSquare - 1) / kSquare, [&](int64_t i) {
    const int64_t end = std::min(x.cols, (i + 1) * kSquare);
    for (int64_t first = 0; first < tokens; first += kSquare)
      for (int64_t c = i * kSquare; c < end; ++c)
        for (int64_t r = first; r < std::min(tokens, first + kSquare); ++r) {
          const float value = row_weights == nullptr ? x(r, c) : static_cast<float>(row_weights[r] * x(r, c));
          const float part = bf16_part(value);
          t(c, r) = part;
          t(c, r + tokens) = side == Side::kLeft ? part : value - part;
          t(c, r + 2 * tokens) = side == Side::kLeft ? value - part : part;
        }
  });
  return t;
}

// C += A·Bᵀ for A (n, k), B (m, k); of the columns right of the diagonal only as many as come along when
// `lower`.
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

// C += XᵀY, by chunks of tokens.
void add_chunks(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights, bool lower,
                MatrixView<double> c) {
  for (int64_t t = 0; t < x.rows; t += kChunkTokens) {
    const int64_t tokens = std::min(kChunkTokens, x.rows - t);
    const double* weights = row_weights == nullptr ? nullptr : row_weights + t;
    add_products(transposed_parts(x.block(t, 0, tokens, x.cols), weights, Side::kLeft),
                 transposed_parts(y.block(t, 0, tokens, y.cols), nullptr, Side::kRight), lower, c);
  }
}

}  // namespace

void gram_accumulate(MatrixView<const float> x, const double* row_weights, MatrixView<double> h) {
  PARE_CHECK(h.rows == x.cols && h.cols == x.cols);
  if (!use_tiles(x.rows, x.cols)) return gram_accumulate_f32(x, row_weights, h);
  add_chunks(x, x, row_weights, true, h);
  mirror_lower(h);
}

void cross_accumulate(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights,
                      MatrixView<double> c) {
  PARE_CHECK(x.rows == y.rows && c.rows == x.cols && c.cols == y.cols);
  if (!use_tiles(x.rows, std::min(x.cols, y.cols))) return cross_accumulate_f32(x, y, row_weights, c);
  add_chunks(x, y, row_weights, false, c);
}

}  // namespace pare
