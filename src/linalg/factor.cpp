// Eigenvectors, Cholesky solves and random orthogonal matrices by LAPACK.
#include <cblas.h>
#include <lapacke.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "linalg/blas.h"
#include "linalg/linalg.h"

namespace pare {
namespace {

constexpr int64_t kSolveRows = 64;  // right-hand sides a piece; fixed for any thread count
constexpr int kMaxRaises = 10;      // 1e-10, 1e-9 … 0.1 times the mean of the diagonal
constexpr double kFirstRaise = 1e-10;

int as_int(int64_t v) { return static_cast<int>(v); }

// LAPACK is column-major: the lower triangle of a row-major matrix is its upper one.
constexpr char kLowerOfRowMajor = 'U';

// Returns the sign of the largest entry of a column; multiplied by it, that entry is positive.
double sign_of_largest(const double* column, int64_t n) {
  const double* largest =
      std::max_element(column, column + n, [](double a, double b) { return std::abs(a) < std::abs(b); });
  return *largest < 0.0 ? -1.0 : 1.0;
}

// Solves X·Lᵀ = B or X·L = B with the leading part of L, for B (m, k).
Matrix<double> triangular_solve(MatrixView<const double> b, const Matrix<double>& factor,
                                CBLAS_TRANSPOSE transpose) {
  detail::require_finite(b, false, "triangular solve");
  Matrix<double> x = copy_of(b);
  if (x.empty()) return x;
  parallel_for((b.rows + kSolveRows - 1) / kSolveRows, [&](int64_t piece) {
    const int64_t first = piece * kSolveRows;
    cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, transpose, CblasNonUnit,
                as_int(std::min(kSolveRows, b.rows - first)), as_int(b.cols), 1.0, factor.data(),
                as_int(factor.cols()), x.row(first), as_int(x.cols()));
  });
  return x;
}

}  // namespace

Eigen eigh(MatrixView<const double> symmetric) {
  const int64_t n = symmetric.rows;
  PARE_CHECK(symmetric.cols == n);
  Eigen result;
  result.values.resize(static_cast<size_t>(n));
  result.vectors = Matrix<double>(n, n);
  if (n == 0) return result;
  detail::require_finite(symmetric, true, "eigh");
  detail::use_one_blas_thread();
  Matrix<double> work = copy_of(symmetric);
  std::vector<double> increasing(static_cast<size_t>(n));
  const int info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', kLowerOfRowMajor, as_int(n), work.data(), as_int(n),
                                  increasing.data());
  if (info != 0)
    fail(ErrorCode::kNumeric, "eigh: the eigenvalues of a {} x {} matrix did not converge ({})", n, n, info);
  std::reverse_copy(increasing.begin(), increasing.end(), result.values.begin());
  // Eigenvector i is row n - 1 - i of `work`.
  std::vector<double> signs(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) signs[static_cast<size_t>(i)] = sign_of_largest(work.row(n - 1 - i), n);
  constexpr int64_t kRows = 64;
  parallel_for((n + kRows - 1) / kRows, [&](int64_t piece) {
    for (int64_t i = 0; i < n; ++i)
      for (int64_t r = piece * kRows; r < std::min(n, (piece + 1) * kRows); ++r)
        result.vectors(r, i) = signs[static_cast<size_t>(i)] * work(n - 1 - i, r);
  });
  return result;
}

SpdFactor::SpdFactor(Matrix<double> a) : factor_(std::move(a)) {
  const int64_t n = factor_.rows();
  PARE_CHECK(factor_.cols() == n);
  detail::require_finite(factor_.view(), true, "Cholesky");
  detail::use_one_blas_thread();
  if (n == 0) return;
  std::vector<double> diagonal(static_cast<size_t>(n));
  double mean = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    diagonal[static_cast<size_t>(i)] = factor_(i, i);
    mean += std::abs(factor_(i, i)) / static_cast<double>(n);
  }
  // The factor replaces the lower triangle; the upper one still holds A for another attempt.
  while (LAPACKE_dpotrf(LAPACK_COL_MAJOR, kLowerOfRowMajor, as_int(n), factor_.data(), as_int(n)) != 0) {
    if (raised_ == kMaxRaises || mean == 0.0)
      fail(ErrorCode::kNumeric, "Cholesky: a {} x {} matrix is not positive definite, raised {} times", n, n,
           raised_);
    added_ = mean * kFirstRaise * std::pow(10.0, raised_++);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < i; ++j) factor_(i, j) = factor_(j, i);
      factor_(i, i) = diagonal[static_cast<size_t>(i)] + added_;
    }
  }
}

Matrix<double> SpdFactor::forward(MatrixView<const double> b) const {
  PARE_CHECK(b.cols == factor_.cols());
  return triangular_solve(b, factor_, CblasTrans);
}

Matrix<double> SpdFactor::backward(MatrixView<const double> z) const {
  PARE_CHECK(z.cols <= factor_.cols());
  return triangular_solve(z, factor_, CblasNoTrans);
}

Matrix<double> SpdFactor::inverse_factor() && {
  const int64_t n = factor_.rows();
  detail::use_one_blas_thread();
  const int info =
      LAPACKE_dtrtri(LAPACK_COL_MAJOR, kLowerOfRowMajor, 'N', as_int(n), factor_.data(), as_int(n));
  if (info != 0) fail(ErrorCode::kNumeric, "the inverse of a Cholesky factor does not exist ({})", info);
  for (int64_t i = 0; i < n; ++i) std::fill(factor_.row(i) + i + 1, factor_.row(i) + n, 0.0);
  return std::move(factor_);
}

Matrix<double> solve_spd_right(MatrixView<const double> a, MatrixView<const double> b, int* raised) {
  PARE_CHECK(a.cols == a.rows && b.cols == a.rows);
  const SpdFactor factor(copy_of(a));
  if (raised != nullptr) *raised = factor.raised();
  return factor.backward(factor.forward(b).view());
}

Matrix<double> random_orthogonal(int64_t n, uint64_t seed) {
  detail::use_one_blas_thread();
  Matrix<double> q(n, n);
  if (n == 0) return q;
  Rng rng(seed);
  for (int64_t i = 0; i < q.size(); ++i) q.data()[i] = rng.normal();
  std::vector<double> tau(static_cast<size_t>(n));
  std::vector<double> signs(static_cast<size_t>(n));
  PARE_CHECK(LAPACKE_dgeqrf(LAPACK_COL_MAJOR, as_int(n), as_int(n), q.data(), as_int(n), tau.data()) == 0);
  // Haar measure needs a positive diagonal of R (Mezzadri 2007).
  for (int64_t i = 0; i < n; ++i) signs[static_cast<size_t>(i)] = q(i, i) < 0.0 ? -1.0 : 1.0;
  PARE_CHECK(LAPACKE_dorgqr(LAPACK_COL_MAJOR, as_int(n), as_int(n), as_int(n), q.data(), as_int(n),
                            tau.data()) == 0);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < n; ++k) q(i, k) *= signs[static_cast<size_t>(i)];
  return q;
}

}  // namespace pare
