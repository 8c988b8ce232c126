// Optimal brain surgery on the rows of a linear (SparseGPT, arXiv 2301.00774): column by column, what a
// deleted weight did is taken over by the columns after it.
#pragma once

#include "compress/solve/mask.h"

namespace pare {

// U, upper triangular, of H⁻¹ = UᵀU.
class ObsFactor {
 public:
  // `gram` (n, n), damped already. Throws kNumeric when it has no Cholesky factor, however damped.
  explicit ObsFactor(MatrixView<const double> gram);
  MatrixView<const double> upper() const { return upper_.view(); }
  int raised() const { return raised_; }  // times the damping had to be raised

 private:
  Matrix<double> upper_;
  int raised_ = 0;
};

// Chooses the mask group by group on weights already updated, and updates; `weight` (rows, n) becomes the
// result.
Mask sparsegpt(const ObsFactor& factor, Pattern pattern, Matrix<double>& weight);
// The update alone, for a mask that is given.
void obs_update(const ObsFactor& factor, const Mask& mask, Matrix<double>& weight);

}  // namespace pare
