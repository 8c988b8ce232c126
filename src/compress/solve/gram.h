// Sums of products of activations over calibration tokens: Backend's sums for rows on the host, and totals
// over all tokens.
#pragma once

#include "compress/walk/sample_split.h"
#include "kernels/backend.h"

namespace pare {

// H += XᵀX for X (tokens, n), H (n, n): Backend::gram_accumulate. The part right of the diagonal is left
// undefined until gram_total.
void gram_accumulate(const Activation& x, const double* row_weights, MatrixView<double> h);
void gram_accumulate(MatrixView<const float> x, const double* row_weights, MatrixView<double> h);
// Returns the total of Gram matrices, full symmetric.
Matrix<double> gram_total(ChunkSum&& sum);
// Backend::gram_inner_product: ⟨XᵀX, H⟩ for X (rows, n), H (n, n) symmetric.
double gram_inner_product(MatrixView<const float> x, MatrixView<const double> h);
// Backend::cross_accumulate: C += XᵀY for X (tokens, n), Y (tokens, m), C (n, m).
void cross_accumulate(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights,
                      MatrixView<double> c);

}  // namespace pare
