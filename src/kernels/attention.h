// The two products of attention, by what linears compute in.
#pragma once

#include <cstdint>

#include "kernels/linear.h"

namespace pare {

enum class Isa;

// Shapes, leading dimensions and rules are those of VectorOps::gemm_nt and gemm_nn.
struct AttentionProducts {
  // C(m, n) = alpha · A(m, k)·B(n, k)ᵀ: scores.
  void (*nt)(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
             int64_t ldb, float* c, int64_t ldc);
  // C(m, n) += A(m, k)·B(k, n): values.
  void (*nn)(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb,
             float* c, int64_t ldc);
  int64_t rows;  // m that pays best
};

// Exact products are f32 (relative error a few ulp a term). Where linears are not computed in f32 and the
// instruction set has tiles, operands are rounded to bf16 and summed in f32; fewer than kTileQueries rows
// stay exact, for they gain nothing.
inline constexpr int64_t kTileQueries = 16;
AttentionProducts attention_products(ComputeType compute, int64_t rows, Isa isa);
AttentionProducts attention_products(ComputeType compute, int64_t rows);

}  // namespace pare
