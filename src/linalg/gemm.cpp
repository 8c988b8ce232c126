#include <cblas.h>

#include <algorithm>

#include "base/parallel.h"
#include "linalg/blas.h"
#include "linalg/linalg.h"

namespace pare {
namespace {

// Pieces of the output: fixed, so that results do not depend on the thread count.
constexpr int64_t kBlockRows = 256;
constexpr int64_t kBlockCols = 512;

int as_int(int64_t v) { return static_cast<int>(v); }

}  // namespace

double mean_diagonal(MatrixView<const double> m) {
  double sum = 0.0;
  for (int64_t i = 0; i < m.rows; ++i) sum += m(i, i);
  return sum / static_cast<double>(std::max<int64_t>(1, m.rows));
}

void gemm(bool transpose_a, bool transpose_b, double alpha, MatrixView<const double> a,
          MatrixView<const double> b, double beta, MatrixView<double> c) {
  const int64_t inner = transpose_a ? a.rows : a.cols;
  PARE_CHECK((transpose_a ? a.cols : a.rows) == c.rows && (transpose_b ? b.rows : b.cols) == c.cols);
  PARE_CHECK((transpose_b ? b.cols : b.rows) == inner);
  detail::use_one_blas_thread();
  const int64_t row_blocks = (c.rows + kBlockRows - 1) / kBlockRows;
  const int64_t col_blocks = (c.cols + kBlockCols - 1) / kBlockCols;
  parallel_for(row_blocks * col_blocks, [&](int64_t i) {
    const int64_t r = i / col_blocks * kBlockRows;
    const int64_t q = i % col_blocks * kBlockCols;
    const int64_t rows = std::min(kBlockRows, c.rows - r);
    const int64_t cols = std::min(kBlockCols, c.cols - q);
    const double* a_block = transpose_a ? a.data + r : a.row(r);
    const double* b_block = transpose_b ? b.row(q) : b.data + q;
    cblas_dgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, as_int(rows), as_int(cols), as_int(inner), alpha,
                a_block, as_int(std::max<int64_t>(1, a.stride)), b_block,
                as_int(std::max<int64_t>(1, b.stride)), beta, c.row(r) + q,
                as_int(std::max<int64_t>(1, c.stride)));
  });
}

Matrix<double> matmul(MatrixView<const double> a, MatrixView<const double> b) {
  Matrix<double> c(a.rows, b.cols);
  gemm(false, false, 1.0, a, b, 0.0, c.view());
  return c;
}

Matrix<double> matmul_nt(MatrixView<const double> a, MatrixView<const double> b) {
  Matrix<double> c(a.rows, b.rows);
  gemm(false, true, 1.0, a, b, 0.0, c.view());
  return c;
}

Matrix<double> matmul_tn(MatrixView<const double> a, MatrixView<const double> b) {
  Matrix<double> c(a.cols, b.cols);
  gemm(true, false, 1.0, a, b, 0.0, c.view());
  return c;
}

}  // namespace pare
