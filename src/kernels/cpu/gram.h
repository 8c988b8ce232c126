// Sums of products of activations over tokens: the choice between tiles and BLAS.
#pragma once

#include "kernels/cpu/cpu_features.h"
#include "tensor/matrix.h"

namespace pare {

// Run Backend::gram_accumulate and the entries behind it on an instruction set. Where it
// has tiles, products of two bf16 parts of each factor replace f32: 2⁻¹⁷ of a product's magnitude is lost.
void add_gram(Isa isa, MatrixView<const float> x, const double* row_weights, MatrixView<double> h);
void add_cross(Isa isa, MatrixView<const float> x, MatrixView<const float> y, const double* row_weights,
               MatrixView<double> c);
double gram_inner_product(Isa isa, MatrixView<const float> x, MatrixView<const double> h);
double gram_rounding(Isa isa);

}  // namespace pare
