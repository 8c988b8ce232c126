// The two products of attention (AttentionProducts) over bf16 B, two values at a time, with AVX-512: A is
// rounded to bf16, sums are f32.
#pragma once

#include <stdint.h>

namespace pare {

// C(m, n) = alpha · A(m, k)·B(n, k)ᵀ
void attention_nt_pairs_avx512(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                               const uint16_t* b, int64_t ldb, float* c, int64_t ldc);
// C(m, n) += A(m, k)·B(k, n)
void attention_nn_pairs_avx512(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
                               const uint16_t* b, int64_t ldb, float* c, int64_t ldc);

}  // namespace pare
