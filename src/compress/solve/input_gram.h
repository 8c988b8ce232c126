// The Gram matrix of a linear's input and results that solvers derive from it: linears that read the same
// input share them, and so do the rows of a linear, which are independent problems.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "compress/solve/obs.h"
#include "kernels/backend.h"
#include "linalg/linalg.h"

namespace pare {

// Products x·Mᵀ with one square matrix (n, n), packed once: Backend::pack_product between f64 values. Steps
// that they steer are corrected by later ones or decided by much larger differences.
class FloatProduct {
 public:
  explicit FloatProduct(MatrixView<const double> m);
  // y = x·Mᵀ, (rows, n); y may be x.
  void apply(const Matrix<double>& x, Matrix<double>& y);

 private:
  std::unique_ptr<PackedLinear> packed_;
  // x and y in f32: solvers call this in loops.
  Matrix<float> in_, out_;
};

// H in coordinates where its diagonal is ones, as Q·diag(λ)·Qᵀ: products with (H + ρI)⁻¹ for any ρ.
struct UnitBasis {
  std::vector<double> unit;    // (n): √H_jj, 1 where that is 0
  std::vector<double> values;  // (n): λ, not negative
  FloatProduct to;             // x·Q
  FloatProduct from;           // x·Qᵀ

  explicit UnitBasis(MatrixView<const double> gram);

 private:
  UnitBasis(MatrixView<const double> gram, const std::vector<double>& roots);
  UnitBasis(const Eigen& eigen, const std::vector<double>& roots);
};

class InputGram {
 public:
  explicit InputGram(Matrix<double> damped) : matrix_(std::move(damped)) {}

  MatrixView<const double> matrix() const { return matrix_.view(); }  // (n, n), damped
  // Results are made when first asked for. Each throws kNumeric when the matrix does not allow it.
  FloatProduct& product();  // x·H
  const ObsFactor& obs();
  UnitBasis& basis();
  // Returns how often the damping was raised for the results made so far.
  int raised() const { return obs_ ? obs_->raised() : 0; }

 private:
  Matrix<double> matrix_;
  std::optional<FloatProduct> product_;
  std::optional<ObsFactor> obs_;
  std::optional<UnitBasis> basis_;
};

}  // namespace pare
