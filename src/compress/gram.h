// Sums of products of activations over calibration tokens.
#pragma once

#include "linalg/linalg.h"

namespace pare {

// H += XᵀX for X (tokens, n) in f32, H (n, n) full symmetric. `row_weights` (tokens), if given, multiplies
// each token's contribution. Where calibration runs in bf16 (calibration_compute), the activations are
// rounded to bf16 as they are for the linears that read them, tiles sum the products of 512 tokens in f32,
// and these are added up in fp64; else gram_accumulate_f32.
void gram_accumulate(MatrixView<const float> x, const double* row_weights, MatrixView<double> h);
// C += XᵀY, likewise, for X (tokens, n), Y (tokens, m) in f32, C (n, m).
void cross_accumulate(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights,
                      MatrixView<double> c);

}  // namespace pare
