// Better masks and better weights for the layer error tr((V − T)·H·(V − T)ᵀ): V (rows, n) is sparse, T (rows,
// n) the dense weights that would be best, H (n, n) the Gram matrix of the input.
#pragma once

#include "compress/solve/input_gram.h"
#include "compress/solve/mask.h"

namespace pare {

// Returns tr((V − T)·H·(V − T)ᵀ).
double layer_error(MatrixView<const double> values, MatrixView<const double> target,
                   MatrixView<const double> gram);

// Makes exact exchanges of one kept and one deleted weight of a group, as long as the error of the row falls.
// `weight` (rows, n): values of kept weights, which stay as they are. Returns the number of exchanges.
int64_t swap_refine(MatrixView<const double> weight, MatrixView<const double> target, InputGram& gram,
                    Mask& mask);

// Exchanges as swap_refine does, but the weight that comes in gets its best value, all others stay; changes
// `values`, which follows the mask.
int64_t swap_refine_free(MatrixView<const double> target, InputGram& gram, Mask& mask,
                         Matrix<double>& values);

// Finds the best values of the kept weights, starting from `values`: conjugate gradients on every row, in as
// many steps as bring the gradient down to `tolerance` of the target's, at most `max_steps` (Jacobi
// preconditioner).
void refit(MatrixView<const double> target, InputGram& input, const Mask& mask, Matrix<double>& values,
           double tolerance = 1e-3, int max_steps = 25);

// Finds mask and values together by the alternating direction method of multipliers (ALPS, arXiv 2406.07831).
// `values` (rows, n) receives the result, to be refitted by the caller.
Mask alps(MatrixView<const double> target, InputGram& gram, Pattern pattern, Matrix<double>& values);

}  // namespace pare
