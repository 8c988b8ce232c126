// The two products of attention (AttentionProducts) with bf16 tiles and f32 sums; B holds bf16. For a machine
// without AMX these are never called.
#pragma once

#include <stdint.h>

namespace pare {

void attention_nt_amx(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                      const uint16_t* b, int64_t ldb, float* c, int64_t ldc);
void attention_nn_amx(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const uint16_t* b,
                      int64_t ldb, float* c, int64_t ldc);

}  // namespace pare
