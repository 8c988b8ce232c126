// The reader of a cut stream where the reader is N:M sparse: the best weights in the places it has.
#pragma once

#include "tensor/matrix.h"
#include "tensor/pattern.h"

namespace pare {

// Minimises tr((V − wanted)·gram·(V − wanted)ᵀ) over V (out, n) that are zero wherever `weight` (out, n) is.
// `gram` (n, n): Σ zzᵀ of the inputs, damped. `pattern` is that of `weight` and divides n.
Matrix<double> masked_refit(const Matrix<double>& weight, const Matrix<double>& wanted,
                            MatrixView<const double> gram, Pattern pattern);

}  // namespace pare
