// Gram matrices of activations: f32 inputs, converted chunk by chunk, summed in f64 in token order.
#include <cblas.h>

#include <algorithm>

#include "base/parallel.h"
#include "linalg/blas.h"
#include "linalg/linalg.h"

namespace pare {
namespace {

constexpr int64_t kChunkTokens = 512;  // tokens converted at a time
constexpr int64_t kBlock = 256;        // columns of a piece of the output; fixed for any thread count

int as_int(int64_t v) { return static_cast<int>(v); }
int64_t blocks_of(int64_t n) { return (n + kBlock - 1) / kBlock; }

// Rows [t, t + n) of x in f64, each times its weight if there are weights.
void convert(MatrixView<const float> x, const double* row_weights, int64_t t, int64_t n,
             Matrix<double>& out) {
  constexpr int64_t kRows = 64;
  parallel_for((n + kRows - 1) / kRows, [&](int64_t piece) {
    for (int64_t r = piece * kRows; r < std::min(n, (piece + 1) * kRows); ++r) {
      const double weight = row_weights == nullptr ? 1.0 : row_weights[t + r];
      const float* source = x.row(t + r);
      double* destination = out.row(r);
      for (int64_t c = 0; c < x.cols; ++c) destination[c] = weight * static_cast<double>(source[c]);
    }
  });
}

// C block += A(tokens, rows)ᵀ · B(tokens, cols)
void add_block(const double* a, int64_t lda, int64_t rows, const double* b, int64_t ldb, int64_t cols,
               int64_t tokens, double* c, int64_t ldc) {
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, as_int(rows), as_int(cols), as_int(tokens), 1.0, a,
              as_int(lda), b, as_int(ldb), 1.0, c, as_int(ldc));
}

}  // namespace

void gram_accumulate(MatrixView<const float> x, const double* row_weights, MatrixView<double> h) {
  PARE_CHECK(h.rows == x.cols && h.cols == x.cols);
  if (x.rows == 0 || x.cols == 0) return;
  detail::use_one_blas_thread();
  const int64_t n = x.cols;
  const int64_t chunk = std::min(kChunkTokens, x.rows);
  Matrix<double> plain(chunk, n);
  Matrix<double> weighted(row_weights == nullptr ? 0 : chunk, n);
  const Matrix<double>& left = row_weights == nullptr ? plain : weighted;
  const int64_t blocks = blocks_of(n);
  for (int64_t t = 0; t < x.rows; t += chunk) {
    const int64_t tokens = std::min(chunk, x.rows - t);
    convert(x, nullptr, t, tokens, plain);
    if (row_weights != nullptr) convert(x, row_weights, t, tokens, weighted);
    // Lower triangle of blocks: pair i is (r, c), c <= r.
    parallel_for(blocks * (blocks + 1) / 2, [&](int64_t i) {
      int64_t r = 0;
      while ((r + 1) * (r + 2) / 2 <= i) ++r;
      const int64_t row = r * kBlock;
      const int64_t col = (i - r * (r + 1) / 2) * kBlock;
      const int64_t rows = std::min(kBlock, n - row);
      if (row == col && row_weights == nullptr)
        cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, as_int(rows), as_int(tokens), 1.0,
                    plain.data() + row, as_int(n), 1.0, h.row(row) + row, as_int(h.stride));
      else
        add_block(left.data() + row, n, rows, plain.data() + col, n, std::min(kBlock, n - col), tokens,
                  h.row(row) + col, h.stride);
    });
  }
  parallel_for(blocks, [&](int64_t i) {
    for (int64_t r = i * kBlock; r < std::min(n, (i + 1) * kBlock); ++r)
      for (int64_t c = r + 1; c < n; ++c) h(r, c) = h(c, r);
  });
}

void cross_accumulate(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights,
                      MatrixView<double> c) {
  PARE_CHECK(x.rows == y.rows && c.rows == x.cols && c.cols == y.cols);
  if (x.rows == 0 || c.rows == 0 || c.cols == 0) return;
  detail::use_one_blas_thread();
  const int64_t chunk = std::min(kChunkTokens, x.rows);
  Matrix<double> left(chunk, x.cols);
  Matrix<double> right(chunk, y.cols);
  const int64_t col_blocks = blocks_of(c.cols);
  for (int64_t t = 0; t < x.rows; t += chunk) {
    const int64_t tokens = std::min(chunk, x.rows - t);
    convert(x, row_weights, t, tokens, left);
    convert(y, nullptr, t, tokens, right);
    parallel_for(blocks_of(c.rows) * col_blocks, [&](int64_t i) {
      const int64_t row = i / col_blocks * kBlock;
      const int64_t col = i % col_blocks * kBlock;
      add_block(left.data() + row, x.cols, std::min(kBlock, c.rows - row), right.data() + col, y.cols,
                std::min(kBlock, c.cols - col), tokens, c.row(row) + col, c.stride);
    });
  }
}

}  // namespace pare
