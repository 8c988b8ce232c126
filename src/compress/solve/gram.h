// Sums of products of activations over calibration tokens.
#pragma once

#include "compress/walk/sample_split.h"

namespace pare {

// H += XᵀX for X (tokens, n) in f32, H (n, n), of which what is right of the diagonal is left undefined until
// gram_total. `row_weights` (tokens), if given, multiplies each token's contribution. Products and sums of
// some hundred tokens in f32, these added up in fp64 (gram_accumulate_f32); where there are tiles, products
// of two bf16 parts of each factor: 2⁻¹⁷ of a product's magnitude is lost.
void gram_accumulate(MatrixView<const float> x, const double* row_weights, MatrixView<double> h);
// The total of Gram matrices, full symmetric.
Matrix<double> gram_total(ChunkSum&& sum);
// ⟨XᵀX, H⟩ = Σ x·H·xᵀ over the rows x of X (rows, n) in f32, for H (n, n) symmetric in fp64: products as
// above.
double gram_inner_product(MatrixView<const float> x, MatrixView<const double> h);
// C += XᵀY, likewise, for X (tokens, n), Y (tokens, m) in f32, C (n, m).
void cross_accumulate(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights,
                      MatrixView<double> c);

}  // namespace pare
