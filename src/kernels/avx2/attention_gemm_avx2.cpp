#include "kernels/avx2/attention_gemm_avx2.h"

#include <immintrin.h>

namespace pare {
namespace {

constexpr int64_t kRows = 4;      // rows of A in a register tile: 4 × 2 accumulators
constexpr int64_t kColumns = 16;  // columns of a register tile
constexpr int64_t kDepth = 256;   // depth of a copied block of B, on the stack

// C(R, 16) (+)= alpha · A(R, k) · B(k, 16), the columns cut to n.
template <int R>
void tile(int64_t n, int64_t k, float alpha, bool accumulate, const float* a, int64_t lda, const float* b,
          int64_t ldb, float* c, int64_t ldc) {
  __m256 acc[R][2];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_ps();
  for (int64_t l = 0; l < k; ++l, b += ldb) {
    const __m256 b0 = _mm256_loadu_ps(b);
    const __m256 b1 = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const __m256 value = _mm256_broadcast_ss(a + r * lda + l);
      acc[r][0] = _mm256_fmadd_ps(value, b0, acc[r][0]);
      acc[r][1] = _mm256_fmadd_ps(value, b1, acc[r][1]);
    }
  }
  for (int r = 0; r < R; ++r) {
    float local[kColumns];
    _mm256_storeu_ps(local, acc[r][0]);
    _mm256_storeu_ps(local + 8, acc[r][1]);
    float* out = c + r * ldc;
    for (int64_t j = 0; j < n; ++j) out[j] = alpha * local[j] + (accumulate ? out[j] : 0.0f);
  }
}

void rows(int64_t m, int64_t n, int64_t k, float alpha, bool accumulate, const float* a, int64_t lda,
          const float* b, int64_t ldb, float* c, int64_t ldc) {
  int64_t i = 0;
  for (; i + kRows <= m; i += kRows)
    tile<kRows>(n, k, alpha, accumulate, a + i * lda, lda, b, ldb, c + i * ldc, ldc);
  switch (m - i) {
    case 1:
      return tile<1>(n, k, alpha, accumulate, a + i * lda, lda, b, ldb, c + i * ldc, ldc);
    case 2:
      return tile<2>(n, k, alpha, accumulate, a + i * lda, lda, b, ldb, c + i * ldc, ldc);
    case 3:
      return tile<3>(n, k, alpha, accumulate, a + i * lda, lda, b, ldb, c + i * ldc, ldc);
    default:
      return;
  }
}

}  // namespace

void attention_nt_avx2(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                       const float* b, int64_t ldb, float* c, int64_t ldc) {
  float transposed[kDepth * kColumns];
  for (int64_t j = 0; j < n; j += kColumns) {
    const int64_t width = n - j < kColumns ? n - j : kColumns;
    for (int64_t l = 0; l < k || l == 0; l += kDepth) {
      const int64_t depth = k - l < kDepth ? k - l : kDepth;
      for (int64_t q = 0; q < depth; ++q)
        for (int64_t i = 0; i < kColumns; ++i)
          transposed[q * kColumns + i] = i < width ? b[(j + i) * ldb + l + q] : 0.0f;
      rows(m, width, depth, alpha, l > 0, a + l, lda, transposed, kColumns, c + j, ldc);
    }
  }
}

void attention_nn_avx2(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                       int64_t ldb, float* c, int64_t ldc) {
  float padded[kDepth * kColumns];
  int64_t j = 0;
  for (; j + kColumns <= n; j += kColumns) rows(m, kColumns, k, 1.0f, true, a, lda, b + j, ldb, c + j, ldc);
  if (j == n) return;
  for (int64_t l = 0; l < k; l += kDepth) {
    const int64_t depth = k - l < kDepth ? k - l : kDepth;
    for (int64_t q = 0; q < depth; ++q)
      for (int64_t i = 0; i < kColumns; ++i)
        padded[q * kColumns + i] = j + i < n ? b[(l + q) * ldb + j + i] : 0.0f;
    rows(m, n - j, depth, 1.0f, true, a + l, lda, padded, kColumns, c + j, ldc);
  }
}

}  // namespace pare
