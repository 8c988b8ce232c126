#include "kernels/attention.h"

#include <algorithm>

#include "base/aligned_buffer.h"
#include "kernels/amx/attention_gemm_amx.h"
#include "kernels/cpu_features.h"
#include "kernels/vector_ops.h"

namespace pare {
namespace {

// For few rows of A, B comes from memory and is used once: what is widened stays in the first cache.
constexpr int64_t kFewRows = 8;
constexpr int64_t kFewValues = 4096;
constexpr int64_t kManyValues = 16384;

// Calls body(first row, count, values) for the rows of B (rows, cols), some at a time as f32 (count, cols).
template <typename Body>
void for_widened(const VectorOps& ops, int64_t m, const bf16* b, int64_t ldb, int64_t rows, int64_t cols,
                 Body&& body) {
  const int64_t values = m <= kFewRows ? kFewValues : kManyValues;
  const int64_t piece = std::max<int64_t>(1, std::min(rows, values / cols));
  thread_local AlignedBuffer<float> wide;
  const auto size = static_cast<size_t>(piece * cols);
  if (wide.size() < size) wide = AlignedBuffer<float>(size);
  for (int64_t r = 0; r < rows; r += piece) {
    const int64_t count = std::min(piece, rows - r);
    if (ldb == cols)
      ops.widen(&b[r * ldb].bits, wide.data(), count * cols);
    else
      for (int64_t i = 0; i < count; ++i) ops.widen(&b[(r + i) * ldb].bits, wide.data() + i * cols, cols);
    body(r, count, wide.data());
  }
}

}  // namespace

AttentionProducts::AttentionProducts(Isa isa) : ops_(vector_ops(isa)), tiles_(isa >= Isa::kAmx) {}
AttentionProducts::AttentionProducts() : AttentionProducts(active_isa()) {}

void AttentionProducts::nt(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                           const float* b, int64_t ldb, float* c, int64_t ldc) const noexcept {
  ops_.gemm_nt(m, n, k, alpha, a, lda, b, ldb, c, ldc);
}

void AttentionProducts::nt(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                           const bf16* b, int64_t ldb, float* c, int64_t ldc) const noexcept {
  if (on_tiles(m)) return attention_nt_amx(m, n, k, alpha, a, lda, &b->bits, ldb, c, ldc);
  for_widened(ops_, m, b, ldb, n, k, [&](int64_t j, int64_t count, const float* rows) {
    ops_.gemm_nt(m, count, k, alpha, a, lda, rows, k, c + j, ldc);
  });
}

void AttentionProducts::nn(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                           int64_t ldb, float* c, int64_t ldc) const noexcept {
  ops_.gemm_nn(m, n, k, a, lda, b, ldb, c, ldc);
}

void AttentionProducts::nn(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const bf16* b,
                           int64_t ldb, float* c, int64_t ldc) const noexcept {
  if (on_tiles(m)) return attention_nn_amx(m, n, k, a, lda, &b->bits, ldb, c, ldc);
  for_widened(ops_, m, b, ldb, k, n, [&](int64_t l, int64_t count, const float* rows) {
    ops_.gemm_nn(m, n, count, a + l, lda, rows, n, c, ldc);
  });
}

}  // namespace pare
