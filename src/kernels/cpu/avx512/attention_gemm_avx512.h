// The two small products of attention (VectorOps::gemm_…) with AVX-512.
#pragma once

#include <stdint.h>

namespace pare {

void attention_nt_avx512(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                         const float* b, int64_t ldb, float* c, int64_t ldc);
void attention_nt_bf16_avx512(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                              const uint16_t* b, int64_t ldb, float* c, int64_t ldc);
void attention_nn_avx512(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                         int64_t ldb, float* c, int64_t ldc);
void attention_nn_bf16_avx512(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const uint16_t* b,
                              int64_t ldb, float* c, int64_t ldc);

}  // namespace pare
