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

// Returns whether add_products_on_tiles() runs here, for so many tokens and channels of either side.
bool has_products_on_tiles(Isa isa, int64_t tokens, int64_t channels);
// c (rows, cols) += xᵀ·y over the tokens of x (tokens, rows) and y (tokens, cols): products of bf16, sums in
// f32.
void add_products_on_tiles(MatrixView<const float> x, MatrixView<const float> y, MatrixView<float> c);

}  // namespace pare
