// Optimal brain surgery on the rows of a linear (SparseGPT, arXiv 2301.00774, and GPTQ, arXiv 2210.17323):
// column by column a rule replaces values, and the columns after a value make up for its change.
#pragma once

#include <algorithm>
#include <utility>

#include "base/parallel.h"
#include "compress/solve/mask.h"
#include "linalg/linalg.h"

namespace pare {

// Upper triangular U of H⁻¹ = UᵀU.
class ObsFactor {
 public:
  // `gram` (n, n), damped already. Throws kNumeric when it has no Cholesky factor, however damped.
  explicit ObsFactor(MatrixView<const double> gram);
  MatrixView<const double> upper() const { return upper_.view(); }
  int raised() const { return raised_; }  // number of raises of the damping

 private:
  Matrix<double> upper_;
  int raised_ = 0;
};

// Columns [first, last) of one row: replaces values, and moves the error of each to the columns behind it up
// to `last`. `errors` receives (w − w') / U_cc.
template <typename Rule>
void obs_sweep_row(MatrixView<const double> upper, double* w, int64_t first, int64_t last, Rule&& rule,
                   double* errors) {
  for (int64_t c = first; c < last; ++c) {
    double error = 0.0;
    double value = 0.0;
    if (rule(w, c, value)) {
      error = (w[c] - value) / upper(c, c);
      w[c] = value;
      const double* u = upper.row(c);
      for (int64_t j = c + 1; j < last; ++j) w[j] -= error * u[j];
    }
    errors[c - first] = error;
  }
}

// Sweeps over the columns of `weight` (rows, n), which becomes the result. `rule_of(r)` gives the rule of row
// r, a callable bool(const double* w, int64_t c, double& value): whether w[c] is replaced, and by what. w is
// the row, with values that have taken over what the columns before c did. The rule is asked column by
// column. At a column that is a multiple of `together` it may look ahead: the columns up to the next multiple
// are as up to date as c is. A row's rules run on one thread at a time, those of other rows beside them.
template <typename RuleOf>
void obs_sweep(const ObsFactor& factor, int64_t together, RuleOf&& rule_of, Matrix<double>& weight) {
  constexpr int64_t kBlockColumns = 128;  // the columns after a block are updated by one matrix product
  const int64_t n = weight.cols();
  const MatrixView<const double> upper = factor.upper();
  PARE_CHECK(upper.rows == n);
  const int64_t block = std::max<int64_t>(1, kBlockColumns / together) * together;
  Matrix<double> errors(weight.rows(), block);
  for (int64_t first = 0; first < n; first += block) {
    const int64_t last = std::min(n, first + block);
    parallel_for(weight.rows(), [&](int64_t r) {
      obs_sweep_row(upper, weight.row(r), first, last, rule_of(r), errors.row(r));
    });
    if (last == n) break;
    gemm(false, false, -1.0, std::as_const(errors).view().block(0, 0, weight.rows(), last - first),
         upper.block(first, last, last - first, n - last), 1.0,
         weight.view().block(0, last, weight.rows(), n - last));
  }
}

// Chooses the mask group by group on weights already updated, and updates; `weight` (rows, n) becomes the
// result.
Mask sparsegpt(const ObsFactor& factor, Pattern pattern, Matrix<double>& weight);
// Runs the update alone, for a mask that is given.
void obs_update(const ObsFactor& factor, const Mask& mask, Matrix<double>& weight);

}  // namespace pare
