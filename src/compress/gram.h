// Sums of products of activations over calibration tokens.
#pragma once

#include "linalg/linalg.h"

namespace pare {

// H += XᵀX for X (tokens, n) in f32, H (n, n) full symmetric. `row_weights` (tokens), if given, multiplies
// each token's contribution. Products and sums of some hundred tokens in f32, these added up in fp64
// (gram_accumulate_f32); for many channels, where there are tiles, products of two bf16 parts of each factor:
// 2⁻¹⁷ of a product's magnitude is lost.
void gram_accumulate(MatrixView<const float> x, const double* row_weights, MatrixView<double> h);
// C += XᵀY, likewise, for X (tokens, n), Y (tokens, m) in f32, C (n, m).
void cross_accumulate(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights,
                      MatrixView<double> c);

}  // namespace pare
