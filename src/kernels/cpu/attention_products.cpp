#include "kernels/cpu/attention_products.h"

#include "kernels/cpu/amx/attention_gemm_amx.h"
#include "kernels/cpu/avx512/attention_pairs_avx512.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/vector_ops.h"

namespace pare {
AttentionProducts::AttentionProducts(Isa isa)
    : ops_(vector_ops(isa)), tiles_(isa >= Isa::kAmx), pairs_(isa >= Isa::kAvx512) {}

void AttentionProducts::nt(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                           const float* b, int64_t ldb, float* c, int64_t ldc) const noexcept {
  ops_.gemm_nt(m, n, k, alpha, a, lda, b, ldb, c, ldc);
}

void AttentionProducts::nt(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                           const bf16* b, int64_t ldb, float* c, int64_t ldc) const noexcept {
  if (on_tiles(m)) return attention_nt_amx(m, n, k, alpha, a, lda, &b->bits, ldb, c, ldc);
  if (in_pairs(m)) return attention_nt_pairs_avx512(m, n, k, alpha, a, lda, &b->bits, ldb, c, ldc);
  ops_.gemm_nt_bf16(m, n, k, alpha, a, lda, &b->bits, ldb, c, ldc);
}

void AttentionProducts::nn(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                           int64_t ldb, float* c, int64_t ldc) const noexcept {
  ops_.gemm_nn(m, n, k, a, lda, b, ldb, c, ldc);
}

void AttentionProducts::nn(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const bf16* b,
                           int64_t ldb, float* c, int64_t ldc) const noexcept {
  if (on_tiles(m)) return attention_nn_amx(m, n, k, a, lda, &b->bits, ldb, c, ldc);
  if (in_pairs(m)) return attention_nn_pairs_avx512(m, n, k, a, lda, &b->bits, ldb, c, ldc);
  ops_.gemm_nn_bf16(m, n, k, a, lda, &b->bits, ldb, c, ldc);
}

}  // namespace pare
