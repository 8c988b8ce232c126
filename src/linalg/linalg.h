// The fp64 algebra of calibration, LAPACK and BLAS behind our own names. Results do not depend on the thread
// count.
#pragma once

#include <vector>

#include "tensor/matrix.h"

namespace pare {

struct Eigen {
  std::vector<double> values;  // decreasing
  Matrix<double> vectors;  // (n, n), column i belongs to values[i]; the largest entry of a column is positive
};
// Eigendecomposition of a symmetric matrix (n, n); only the lower triangle is read. Throws kNumeric on
// NaN/Inf.
Eigen eigh(MatrixView<const double> symmetric);

// Solves X · A = B for symmetric positive definite A (n, n), B (m, n); returns X (m, n). If A does not
// factorise, the diagonal is raised by growing multiples of its mean and `raised` counts the attempts.
// Throws kNumeric when even that fails.
Matrix<double> solve_spd_right(MatrixView<const double> a, MatrixView<const double> b, int* raised = nullptr);

// C = alpha · op(A) · op(B) + beta · C, fp64.
void gemm(bool transpose_a, bool transpose_b, double alpha, MatrixView<const double> a,
          MatrixView<const double> b, double beta, MatrixView<double> c);
Matrix<double> matmul(MatrixView<const double> a, MatrixView<const double> b);     // A · B
Matrix<double> matmul_nt(MatrixView<const double> a, MatrixView<const double> b);  // A · Bᵀ
Matrix<double> matmul_tn(MatrixView<const double> a, MatrixView<const double> b);  // Aᵀ · B

// H += XᵀX in fp64 for X (tokens, n) in f32, H (n, n) full symmetric. `row_weights` (tokens), if given,
// multiplies each token's contribution.
void gram_accumulate(MatrixView<const float> x, const double* row_weights, MatrixView<double> h);
// C += XᵀY in fp64 for X (tokens, n), Y (tokens, m) in f32, C (n, m).
void cross_accumulate(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights,
                      MatrixView<double> c);

// Orthogonal matrix (n, n), Haar-distributed from `seed` (QR of a Gaussian matrix, signs fixed).
Matrix<double> random_orthogonal(int64_t n, uint64_t seed);

}  // namespace pare
