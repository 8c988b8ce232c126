#include "kernels/avx2/attention_gemm_avx2.h"

#include <immintrin.h>

#include "kernels/avx2/lanes.h"

namespace pare {
namespace {

constexpr int64_t kRows = 6;      // rows of A in a register tile: 6 × 2 accumulators, 2 vectors of B
constexpr int64_t kColumns = 16;  // columns of a register tile
constexpr int64_t kDepth = 128;   // depth of a copied block of B, on the stack
// Few rows of A are a decoding step: B comes from memory, and the cache goes on behind it. Tiles are twice as
// wide.
constexpr int kDecodeRows = 3;
constexpr int64_t kDecodeColumns = 32;
constexpr int64_t kPrefetchRows = 64;

// C(R, 16·V) (+)= alpha · A(R, k) · B(k, 16·V), the columns cut to n.
template <int R, int V>
void tile(int64_t n, int64_t k, float alpha, bool accumulate, const float* a, int64_t lda, const float* b,
          int64_t ldb, float* c, int64_t ldc) {
  __m256 acc[R][2 * V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < 2 * V; ++v) acc[r][v] = _mm256_setzero_ps();
  for (int64_t l = 0; l < k; ++l, b += ldb) {
#pragma GCC unroll 2
    for (int v = 0; R <= kDecodeRows && v < V; ++v)
      _mm_prefetch(reinterpret_cast<const char*>(b + kPrefetchRows * ldb + 16 * v), _MM_HINT_T0);
    __m256 row[2 * V];
#pragma GCC unroll 4
    for (int v = 0; v < 2 * V; ++v) row[v] = _mm256_loadu_ps(b + 8 * v);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m256 value = _mm256_broadcast_ss(a + r * lda + l);
#pragma GCC unroll 4
      for (int v = 0; v < 2 * V; ++v) acc[r][v] = _mm256_fmadd_ps(value, row[v], acc[r][v]);
    }
  }
  const __m256 factor = _mm256_set1_ps(alpha);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      float* out = c + r * ldc + 16 * v;
      const Sixteen old = load16(accumulate, out, n - 16 * v);
      store16(out, n - 16 * v, _mm256_fmadd_ps(factor, acc[r][2 * v], old.low),
              _mm256_fmadd_ps(factor, acc[r][2 * v + 1], old.high));
    }
}

using Tile = void (*)(int64_t, int64_t, float, bool, const float*, int64_t, const float*, int64_t, float*,
                      int64_t);
constexpr Tile kTiles[kRows] = {tile<1, 1>, tile<2, 1>, tile<3, 1>, tile<4, 1>, tile<5, 1>, tile<6, 1>};
constexpr Tile kDecodeTiles[kDecodeRows] = {tile<1, 2>, tile<2, 2>, tile<3, 2>};

void tiles(int64_t m, int64_t n, int64_t k, float alpha, bool accumulate, const float* a, int64_t lda,
           const float* b, int64_t ldb, float* c, int64_t ldc) {
  for (int64_t i = 0; i < m; i += kRows)
    kTiles[(m - i < kRows ? m - i : kRows) - 1](n, k, alpha, accumulate, a + i * lda, lda, b, ldb,
                                                c + i * ldc, ldc);
}

// v[i][j] becomes v[j][i].
inline void transpose8(__m256* v) {
  __m256 pairs[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
  }
  __m256 fours[8];
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      fours[i + 2 * j] = _mm256_shuffle_ps(pairs[i + j], pairs[i + j + 2], 0x44);
      fours[i + 2 * j + 1] = _mm256_shuffle_ps(pairs[i + j], pairs[i + j + 2], 0xee);
    }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
    v[i + 4] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
  }
}

// out(k, 8 of 16) = B(8, k)ᵀ; rows from n on are zero.
void transpose_rows(const float* b, int64_t ldb, int64_t n, int64_t k, float* out) {
  int64_t l = 0;
  for (; n >= 8 && l + 8 <= k; l += 8) {
    __m256 v[8];
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) v[j] = _mm256_loadu_ps(b + j * ldb + l);
    transpose8(v);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) _mm256_storeu_ps(out + (l + j) * kColumns, v[j]);
  }
  for (; l < k; ++l)
    for (int64_t j = 0; j < 8; ++j) out[l * kColumns + j] = j < n ? b[j * ldb + l] : 0.0f;
}

// R rows of A against 8 rows of B at a time: partial sums along k, then one transpose adds them up.
template <int R>
void dots(int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b, int64_t ldb,
          float* c, int64_t ldc) {
  const __m256i rest = first_lanes(k % 8);
  for (int64_t j0 = 0; j0 < n; j0 += 8) {
    const int64_t count = n - j0 < 8 ? n - j0 : 8;
    __m256 sums[R][8];
    for (int j = 0; j < 8; ++j) {
      __m256 acc[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) acc[r] = _mm256_setzero_ps();
      if (j < count) {
        const float* row = b + (j0 + j) * ldb;
        int64_t l = 0;
        for (; l + 8 <= k; l += 8) {
          _mm_prefetch(reinterpret_cast<const char*>(row + l + kPrefetchRows * ldb), _MM_HINT_T0);
          const __m256 value = _mm256_loadu_ps(row + l);
#pragma GCC unroll 4
          for (int r = 0; r < R; ++r)
            acc[r] = _mm256_fmadd_ps(_mm256_loadu_ps(a + r * lda + l), value, acc[r]);
        }
        if (l < k) {
          const __m256 value = _mm256_maskload_ps(row + l, rest);
#pragma GCC unroll 4
          for (int r = 0; r < R; ++r)
            acc[r] = _mm256_fmadd_ps(_mm256_maskload_ps(a + r * lda + l, rest), value, acc[r]);
        }
      }
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sums[r][j] = acc[r];
    }
    for (int r = 0; r < R; ++r) {
      transpose8(sums[r]);
      __m256 total = sums[r][0];
#pragma GCC unroll 8
      for (int j = 1; j < 8; ++j) total = _mm256_add_ps(total, sums[r][j]);
      total = _mm256_mul_ps(total, _mm256_set1_ps(alpha));
      if (count == 8)
        _mm256_storeu_ps(c + r * ldc + j0, total);
      else
        _mm256_maskstore_ps(c + r * ldc + j0, first_lanes(count), total);
    }
  }
}

}  // namespace

void attention_nt_avx2(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                       const float* b, int64_t ldb, float* c, int64_t ldc) {
  switch (m) {
    case 1:
      return dots<1>(n, k, alpha, a, lda, b, ldb, c, ldc);
    case 2:
      return dots<2>(n, k, alpha, a, lda, b, ldb, c, ldc);
    case 3:
      return dots<3>(n, k, alpha, a, lda, b, ldb, c, ldc);
    default:
      break;
  }
  float transposed[kDepth * kColumns];
  for (int64_t j = 0; j < n; j += kColumns) {
    const int64_t width = n - j < kColumns ? n - j : kColumns;
    for (int64_t l = 0; l < k || l == 0; l += kDepth) {
      const int64_t depth = k - l < kDepth ? k - l : kDepth;
      for (int64_t v = 0; v < kColumns; v += 8)
        transpose_rows(b + (j + v) * ldb + l, ldb, width - v, depth, transposed + v);
      tiles(m, width, depth, alpha, l > 0, a + l, lda, transposed, kColumns, c + j, ldc);
    }
  }
}

void attention_nn_avx2(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                       int64_t ldb, float* c, int64_t ldc) {
  float padded[kDepth * kColumns];
  int64_t j = 0;
  if (m > 0 && m <= kDecodeRows)
    for (; j + kDecodeColumns <= n; j += kDecodeColumns)
      kDecodeTiles[m - 1](kDecodeColumns, k, 1.0f, true, a, lda, b + j, ldb, c + j, ldc);
  for (; j + kColumns <= n; j += kColumns) tiles(m, kColumns, k, 1.0f, true, a, lda, b + j, ldb, c + j, ldc);
  if (j == n) return;
  for (int64_t l = 0; l < k; l += kDepth) {
    const int64_t depth = k - l < kDepth ? k - l : kDepth;
    for (int64_t q = 0; q < depth; ++q)
      for (int64_t i = 0; i < kColumns; ++i)
        padded[q * kColumns + i] = j + i < n ? b[(l + q) * ldb + j + i] : 0.0f;
    tiles(m, n - j, depth, 1.0f, true, a + l, lda, padded, kColumns, c + j, ldc);
  }
}

}  // namespace pare
