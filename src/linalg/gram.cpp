// Gram matrices of activations: f32 inputs, products summed in f32 over a chunk of tokens, the chunks in f64
// in token order. Within a chunk rounding stays at a few 2^-24 of the sum of absolute products, far below the
// noise of a calibration; over all tokens f32 would lose digits that matter (SliceGPT, section 3).
#include <cblas.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/parallel.h"
#include "linalg/blas.h"
#include "linalg/linalg.h"

namespace pare {
namespace {

constexpr int64_t kChunkTokens = 256;  // tokens whose products are summed in f32
constexpr int64_t kBlock = 192;        // columns of a piece of the output; fixed for any thread count

int as_int(int64_t v) { return static_cast<int>(v); }
int64_t blocks_of(int64_t n) { return (n + kBlock - 1) / kBlock; }

// Calls use(sums) with A(tokens, rows)ᵀ · B(tokens, cols), contiguous, for each chunk of tokens.
template <typename Use>
void for_each_chunk(MatrixView<const float> a, MatrixView<const float> b, Use&& use) {
  thread_local Matrix<float> sum;
  if (sum.empty()) sum = Matrix<float>(kBlock, kBlock);
  for (int64_t t = 0; t < a.rows; t += kChunkTokens) {
    const int64_t tokens = std::min(kChunkTokens, a.rows - t);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, as_int(a.cols), as_int(b.cols), as_int(tokens), 1.0f,
                a.row(t), as_int(a.stride), b.row(t), as_int(b.stride), 0.0f, sum.data(), as_int(b.cols));
    use(sum.data());
  }
}

// C block (rows, cols) += A(tokens, rows)ᵀ · B(tokens, cols)
void add_block(MatrixView<const float> a, MatrixView<const float> b, MatrixView<double> c) {
  for_each_chunk(a, b, [&](const float* sum) {
    for (int64_t r = 0; r < c.rows; ++r)
      for (int64_t q = 0; q < c.cols; ++q) c(r, q) += static_cast<double>(sum[r * c.cols + q]);
  });
}

// Returns the inner product of A(tokens, rows)ᵀ · B(tokens, cols) with H (rows, cols).
double inner_product(MatrixView<const float> a, MatrixView<const float> b, MatrixView<const double> h) {
  double total = 0.0;
  for_each_chunk(a, b, [&](const float* sum) {
    for (int64_t r = 0; r < h.rows; ++r)
      for (int64_t q = 0; q < h.cols; ++q) total += static_cast<double>(sum[r * h.cols + q]) * h(r, q);
  });
  return total;
}

// Calls work(pair, row, col) for the blocks of the lower triangle of (n, n), in parallel.
template <typename Work>
void for_each_lower_block(int64_t n, Work&& work) {
  const int64_t blocks = blocks_of(n);
  parallel_for(blocks * (blocks + 1) / 2, [&](int64_t i) {
    int64_t r = 0;
    while ((r + 1) * (r + 2) / 2 <= i) ++r;
    work(i, r * kBlock, (i - r * (r + 1) / 2) * kBlock);
  });
}

// Returns the rows of x, each times its weight.
Matrix<float> weighted_rows(MatrixView<const float> x, const double* row_weights) {
  Matrix<float> out(x.rows, x.cols);
  constexpr int64_t kRows = 64;
  parallel_for((x.rows + kRows - 1) / kRows, [&](int64_t piece) {
    for (int64_t r = piece * kRows; r < std::min(x.rows, (piece + 1) * kRows); ++r) {
      const auto weight = static_cast<float>(row_weights[r]);
      for (int64_t c = 0; c < x.cols; ++c) out(r, c) = weight * x(r, c);
    }
  });
  return out;
}

MatrixView<const float> columns(MatrixView<const float> x, int64_t first) {
  return x.block(0, first, x.rows, std::min(kBlock, x.cols - first));
}

}  // namespace

void mirror_lower(MatrixView<double> h) {
  const int64_t n = h.rows;
  PARE_CHECK(h.cols == n);
  // Squares are small: one column of a large matrix touches as many pages as it has rows.
  constexpr int64_t kSquare = 16;
  const int64_t squares = (n + kSquare - 1) / kSquare;
  parallel_for(squares, [&](int64_t i) {
    const int64_t end = std::min(n, (i + 1) * kSquare);
    for (int64_t first = i * kSquare; first < n; first += kSquare)
      for (int64_t r = i * kSquare; r < end; ++r)
        for (int64_t c = std::max(first, r + 1); c < std::min(n, first + kSquare); ++c) h(r, c) = h(c, r);
  });
}

void gram_accumulate_f32(MatrixView<const float> x, const double* row_weights, MatrixView<double> h) {
  PARE_CHECK(h.rows == x.cols && h.cols == x.cols);
  if (x.rows == 0 || x.cols == 0) return;
  detail::use_one_blas_thread();
  const Matrix<float> weighted = row_weights == nullptr ? Matrix<float>() : weighted_rows(x, row_weights);
  const MatrixView<const float> left = row_weights == nullptr ? x : weighted.view();
  for_each_lower_block(x.cols, [&](int64_t, int64_t row, int64_t col) {
    const MatrixView<const float> a = columns(left, row);
    const MatrixView<const float> b = columns(x, col);
    add_block(a, b, h.block(row, col, a.cols, b.cols));
  });
}

double gram_inner_product_f32(MatrixView<const float> x, MatrixView<const double> h) {
  PARE_CHECK(h.rows == x.cols && h.cols == x.cols);
  if (x.rows == 0 || x.cols == 0) return 0.0;
  detail::use_one_blas_thread();
  const int64_t blocks = blocks_of(x.cols);
  std::vector<double> parts(static_cast<size_t>(blocks * (blocks + 1) / 2));
  for_each_lower_block(x.cols, [&](int64_t i, int64_t row, int64_t col) {
    const MatrixView<const float> a = columns(x, row);
    const MatrixView<const float> b = columns(x, col);
    const double part = inner_product(a, b, h.block(row, col, a.cols, b.cols));
    parts[static_cast<size_t>(i)] = row == col ? part : 2.0 * part;
  });
  return std::accumulate(parts.begin(), parts.end(), 0.0);
}

void cross_accumulate_f32(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights,
                          MatrixView<double> c) {
  PARE_CHECK(x.rows == y.rows && c.rows == x.cols && c.cols == y.cols);
  if (x.rows == 0 || c.rows == 0 || c.cols == 0) return;
  detail::use_one_blas_thread();
  const Matrix<float> weighted = row_weights == nullptr ? Matrix<float>() : weighted_rows(x, row_weights);
  const MatrixView<const float> left = row_weights == nullptr ? x : weighted.view();
  const int64_t col_blocks = blocks_of(c.cols);
  parallel_for(blocks_of(c.rows) * col_blocks, [&](int64_t i) {
    const int64_t row = i / col_blocks * kBlock;
    const int64_t col = i % col_blocks * kBlock;
    const MatrixView<const float> a = columns(left, row);
    const MatrixView<const float> b = columns(y, col);
    add_block(a, b, c.block(row, col, a.cols, b.cols));
  });
}

}  // namespace pare
