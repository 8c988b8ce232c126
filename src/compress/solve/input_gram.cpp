#include "compress/solve/input_gram.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "tensor/transposed.h"

namespace pare {
namespace {

std::vector<double> diagonal_roots(MatrixView<const double> gram) {
  std::vector<double> roots(static_cast<size_t>(gram.rows));
  for (int64_t c = 0; c < gram.rows; ++c)
    roots[static_cast<size_t>(c)] = gram(c, c) > 0.0 ? std::sqrt(gram(c, c)) : 1.0;
  return roots;
}

Eigen unit_eigen(MatrixView<const double> gram, const std::vector<double>& unit) {
  Matrix<double> scaled(gram.rows, gram.rows);
  for (int64_t r = 0; r < gram.rows; ++r)
    for (int64_t c = 0; c < gram.rows; ++c)
      scaled(r, c) = gram(r, c) / (unit[static_cast<size_t>(r)] * unit[static_cast<size_t>(c)]);
  Eigen eigen = eigh(std::as_const(scaled).view());
  for (double& value : eigen.values) value = std::max(0.0, value);
  return eigen;
}

}  // namespace

FloatProduct::FloatProduct(MatrixView<const double> m) : packed_(default_backend().pack_product(m)) {}

void FloatProduct::apply(const Matrix<double>& x, Matrix<double>& y) {
  if (in_.rows() != x.rows()) {
    in_ = Matrix<float>(x.rows(), x.cols());
    out_ = Matrix<float>(x.rows(), x.cols());
  }
  parallel_for(x.rows(), [&](int64_t r) {
    for (int64_t c = 0; c < x.cols(); ++c) in_(r, c) = static_cast<float>(x(r, c));
  });
  packed_->apply(std::as_const(in_).view(), out_.view());
  parallel_for(x.rows(), [&](int64_t r) {
    for (int64_t c = 0; c < x.cols(); ++c) y(r, c) = static_cast<double>(out_(r, c));
  });
}

UnitBasis::UnitBasis(MatrixView<const double> gram) : UnitBasis(gram, diagonal_roots(gram)) {}

UnitBasis::UnitBasis(MatrixView<const double> gram, const std::vector<double>& roots)
    : UnitBasis(unit_eigen(gram, roots), roots) {}

// FloatProduct multiplies by the transpose.
UnitBasis::UnitBasis(const Eigen& eigen, const std::vector<double>& roots)
    : unit(roots),
      values(eigen.values),
      to(transposed(eigen.vectors.view()).view()),
      from(eigen.vectors.view()) {}

FloatProduct& InputGram::product() {
  if (!product_) product_.emplace(matrix());
  return *product_;
}

const ObsFactor& InputGram::obs() {
  if (!obs_) obs_.emplace(matrix());
  return *obs_;
}

UnitBasis& InputGram::basis() {
  if (!basis_) basis_.emplace(matrix());
  return *basis_;
}

}  // namespace pare
