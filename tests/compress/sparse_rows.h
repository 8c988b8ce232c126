// Random problems for the tests of sparse linears.
#pragma once

#include <cmath>

#include "base/rng.h"
#include "compress/solve/mask.h"
#include "linalg/linalg.h"

namespace pare::test {

inline Matrix<double> random_f64(int64_t rows, int64_t cols, uint64_t seed) {
  Matrix<double> m(rows, cols);
  Rng rng(seed);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = rng.normal();
  return m;
}

// Gram matrix (n, n) of correlated inputs of unlike size, damped a little.
inline Matrix<double> random_gram(int64_t n, uint64_t seed) {
  Matrix<double> x = matmul(random_f64(4 * n, n, seed).view(), random_f64(n, n, seed + 1).view());
  for (int64_t r = 0; r < x.rows(); ++r)
    for (int64_t c = 0; c < n; ++c) x(r, c) *= 1.0 + static_cast<double>(c % 5);
  Matrix<double> gram = matmul_tn(std::as_const(x).view(), std::as_const(x).view());
  double mean = 0.0;
  for (int64_t i = 0; i < n; ++i) mean += gram(i, i) / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) gram(i, i) += 0.01 * mean;
  return gram;
}

// Returns whether exactly N of M values of every group are kept, and all others are +0.
inline bool follows(const Matrix<double>& values, const Mask& mask) {
  for (int64_t r = 0; r < mask.rows; ++r) {
    for (int64_t g = 0; g < mask.groups_per_row(); ++g)
      if (__builtin_popcount(mask.group(r, g)) != mask.pattern.kept) return false;
    for (int64_t c = 0; c < mask.cols; ++c)
      if (!mask.keeps(r, c) && (values(r, c) != 0.0 || std::signbit(values(r, c)))) return false;
  }
  return true;
}

// Replaces one column after the other with an explicit inverse (SparseGPT, equation 3; GPTQ, equation 2).
template <typename RuleOf>
Matrix<double> replaced_one_by_one(const Matrix<double>& weight, const Matrix<double>& gram,
                                   RuleOf&& rule_of) {
  Matrix<double> w = weight.clone();
  const int64_t n = gram.rows();
  for (int64_t c = 0; c < n; ++c) {
    // Inverse of the Gram matrix of the columns from c on.
    const int64_t left = n - c;
    Matrix<double> rest(left, left);
    for (int64_t i = 0; i < left; ++i)
      for (int64_t j = 0; j < left; ++j) rest(i, j) = gram(c + i, c + j);
    const Matrix<double> inverse =
        solve_spd_right(std::as_const(rest).view(), Matrix<double>::identity(left).view());
    for (int64_t r = 0; r < w.rows(); ++r) {
      double value = 0.0;
      if (!rule_of(r)(w.row(r), c, value)) continue;
      const double factor = (w(r, c) - value) / inverse(0, 0);
      for (int64_t i = 0; i < left; ++i) w(r, c + i) -= factor * inverse(0, i);
      w(r, c) = value;
    }
  }
  return w;
}

}  // namespace pare::test
