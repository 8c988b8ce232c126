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

// Cholesky factor A = L·Lᵀ of a symmetric positive definite matrix (n, n). If A does not factorise, its
// diagonal is raised by growing multiples of its mean. Throws kNumeric when even that fails, and on NaN/Inf.
class SpdFactor {
 public:
  explicit SpdFactor(Matrix<double> a);
  int raised() const { return raised_; }   // number of raises of the diagonal
  double added() const { return added_; }  // sum added to the diagonal
  // Returns B·L⁻ᵀ for B (m, n). Its first k columns depend on the leading (k, k) part of A only.
  Matrix<double> forward(MatrixView<const double> b) const;
  // Returns Z·L⁻¹ with the leading (k, k) part of L, for Z (m, k): forward, then backward, solves X·A = B.
  Matrix<double> backward(MatrixView<const double> z) const;
  // Returns L⁻¹ (n, n), lower triangular, in the memory of the factor.
  Matrix<double> inverse_factor() &&;

 private:
  Matrix<double> factor_;  // L in the lower triangle
  int raised_ = 0;
  double added_ = 0.0;
};

// Solves X · A = B for symmetric positive definite A (n, n), B (m, n); returns X (m, n). `raised`: as in
// SpdFactor.
Matrix<double> solve_spd_right(MatrixView<const double> a, MatrixView<const double> b, int* raised = nullptr);

// Mean of the diagonal of a square matrix; 0 for an empty one.
double mean_diagonal(MatrixView<const double> m);

// C = alpha · op(A) · op(B) + beta · C, fp64.
void gemm(bool transpose_a, bool transpose_b, double alpha, MatrixView<const double> a,
          MatrixView<const double> b, double beta, MatrixView<double> c);
Matrix<double> matmul(MatrixView<const double> a, MatrixView<const double> b);     // A · B
Matrix<double> matmul_nt(MatrixView<const double> a, MatrixView<const double> b);  // A · Bᵀ
Matrix<double> matmul_tn(MatrixView<const double> a, MatrixView<const double> b);  // Aᵀ · B

// H += XᵀX for X (tokens, n) in f32, H (n, n): f32 sums of up to 256 tokens, added up in fp64. The part right
// of the diagonal is left undefined; mirror_lower fills it. `row_weights` (tokens), if given,
// multiplies each token's contribution.
void gram_accumulate_f32(MatrixView<const float> x, const double* row_weights, MatrixView<double> h);
// Share of the largest eigenvalue below which eigenvalues of such sums are rounding.
inline constexpr double kGramRoundingF32 = 1e-6;
// Returns ⟨XᵀX, H⟩, summed as gram_accumulate_f32 does, for H (n, n) symmetric.
double gram_inner_product_f32(MatrixView<const float> x, MatrixView<const double> h);
// C += XᵀY, summed as gram_accumulate_f32 does, for X (tokens, n), Y (tokens, m) in f32, C (n, m).
void cross_accumulate_f32(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights,
                          MatrixView<double> c);
// Copies the lower triangle of a square matrix onto the upper one.
void mirror_lower(MatrixView<double> h);

// Orthogonal matrix (n, n), Haar-distributed from `seed` (QR of a Gaussian matrix, signs fixed).
Matrix<double> random_orthogonal(int64_t n, uint64_t seed);

}  // namespace pare
