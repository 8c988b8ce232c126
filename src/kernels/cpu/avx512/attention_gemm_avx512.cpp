#include "kernels/cpu/avx512/attention_gemm_avx512.h"

#include <immintrin.h>

#include "kernels/cpu/avx512/column_mask.h"
#include "kernels/cpu/avx512/transpose.h"

namespace pare {
namespace {

constexpr int64_t kRows = 6;     // rows of A in a register tile: 6 × 4 accumulators, 4 vectors of B
constexpr int64_t kVectors = 4;  // vectors of B in a register tile: 64 columns
constexpr int64_t kDepth = 128;  // depth of a transposed block of B, on the stack
// Most rows of A in a decoding step: B comes from memory there, and the cache continues behind B.
constexpr int kDecodeRows = 3;
constexpr int64_t kPrefetchRows = 64;

// Loads the values of B that the mask names, of sixteen.
inline __m512 load16(__mmask16 mask, const float* b) { return _mm512_maskz_loadu_ps(mask, b); }
inline __m512 load16(__mmask16 mask, const uint16_t* b) {
  const __m512i bits = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, b));
  return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}

// C(R, 16·V) (+)= alpha · A(R, k) · B(k, 16·V), the columns cut to n.
template <int R, int V, typename T>
void tile(int64_t n, int64_t k, float alpha, bool accumulate, const float* a, int64_t lda, const T* b,
          int64_t ldb, float* c, int64_t ldc) {
  __mmask16 mask[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) mask[v] = column_mask(n - 16 * v);
  __m512 acc[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[r][v] = _mm512_setzero_ps();
  for (int64_t l = 0; l < k; ++l, b += ldb) {
    __m512 row[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      row[v] = load16(mask[v], b + 16 * v);
      if (R <= kDecodeRows)
        _mm_prefetch(reinterpret_cast<const char*>(b + kPrefetchRows * ldb + 16 * v), _MM_HINT_T0);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512 value = _mm512_set1_ps(a[r * lda + l]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[r][v] = _mm512_fmadd_ps(value, row[v], acc[r][v]);
    }
  }
  const __m512 factor = _mm512_set1_ps(alpha);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      float* out = c + r * ldc + 16 * v;
      const __m512 old = accumulate ? _mm512_maskz_loadu_ps(mask[v], out) : _mm512_setzero_ps();
      _mm512_mask_storeu_ps(out, mask[v], _mm512_fmadd_ps(factor, acc[r][v], old));
    }
}

template <typename T>
using Tile = void (*)(int64_t, int64_t, float, bool, const float*, int64_t, const T*, int64_t, float*,
                      int64_t);
template <int R, typename T>
constexpr Tile<T> kTilesOfRows[kVectors] = {tile<R, 1, T>, tile<R, 2, T>, tile<R, 3, T>, tile<R, 4, T>};
constexpr const Tile<float>* kTiles[kRows] = {kTilesOfRows<1, float>, kTilesOfRows<2, float>,
                                              kTilesOfRows<3, float>, kTilesOfRows<4, float>,
                                              kTilesOfRows<5, float>, kTilesOfRows<6, float>};
constexpr const Tile<uint16_t>* kDecodeTiles[kDecodeRows] = {
    kTilesOfRows<1, uint16_t>, kTilesOfRows<2, uint16_t>, kTilesOfRows<3, uint16_t>};

// Computes at most 64 columns of C.
void columns(int64_t m, int64_t n, int64_t k, float alpha, bool accumulate, const float* a, int64_t lda,
             const float* b, int64_t ldb, float* c, int64_t ldc) {
  const int64_t vectors = (n + 15) / 16;
  for (int64_t i = 0; i < m; i += kRows) {
    const int64_t rows = m - i < kRows ? m - i : kRows;
    kTiles[rows - 1][vectors - 1](n, k, alpha, accumulate, a + i * lda, lda, b, ldb, c + i * ldc, ldc);
  }
}

// out(k, 16 of 64) = B(16, k)ᵀ; rows from n on are zero.
template <typename T>
void transpose_rows(const T* b, int64_t ldb, int64_t n, int64_t k, float* out) {
  for (int64_t l = 0; l < k; l += 16) {
    const __mmask16 mask = column_mask(k - l);
    __m512 v[16];
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) v[j] = j < n ? load16(mask, b + j * ldb + l) : _mm512_setzero_ps();
    transpose16(v);
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j)
      if (l + j < k) _mm512_store_ps(out + (l + j) * 16 * kVectors, v[j]);
  }
}

// Each of R rows of A against 16 rows of B: partial sums along k, then one transpose adds them up.
template <int R, typename T>
void dots(int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const T* b, int64_t ldb, float* c,
          int64_t ldc) {
  for (int64_t j0 = 0; j0 < n; j0 += 16) {
    const int64_t count = n - j0 < 16 ? n - j0 : 16;
    __m512 sums[R][16];
    for (int j = 0; j < 16; ++j) {
      __m512 acc[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) acc[r] = _mm512_setzero_ps();
      if (j < count)
        for (int64_t l = 0; l < k; l += 16) {
          const __mmask16 mask = column_mask(k - l);
          const T* at = b + (j0 + j) * ldb + l;
          _mm_prefetch(reinterpret_cast<const char*>(at + kPrefetchRows * ldb), _MM_HINT_T0);
          const __m512 row = load16(mask, at);
#pragma GCC unroll 4
          for (int r = 0; r < R; ++r)
            acc[r] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, a + r * lda + l), row, acc[r]);
        }
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sums[r][j] = acc[r];
    }
    for (int r = 0; r < R; ++r) {
      transpose16(sums[r]);
      __m512 total = sums[r][0];
#pragma GCC unroll 16
      for (int j = 1; j < 16; ++j) total = _mm512_add_ps(total, sums[r][j]);
      _mm512_mask_storeu_ps(c + r * ldc + j0, column_mask(count),
                            _mm512_mul_ps(total, _mm512_set1_ps(alpha)));
    }
  }
}

template <typename T>
void nt(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const T* b, int64_t ldb,
        float* c, int64_t ldc) {
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
  alignas(64) float transposed[kDepth * 16 * kVectors];
  for (int64_t j = 0; j < n; j += 16 * kVectors) {
    const int64_t width = n - j < 16 * kVectors ? n - j : 16 * kVectors;
    for (int64_t l = 0; l < k; l += kDepth) {
      const int64_t depth = k - l < kDepth ? k - l : kDepth;
      for (int64_t v = 0; v < width; v += 16)
        transpose_rows(b + (j + v) * ldb + l, ldb, width - v, depth, transposed + v);
      columns(m, width, depth, alpha, l > 0, a + l, lda, transposed, 16 * kVectors, c + j, ldc);
    }
  }
}

}  // namespace

void attention_nt_avx512(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                         const float* b, int64_t ldb, float* c, int64_t ldc) {
  nt(m, n, k, alpha, a, lda, b, ldb, c, ldc);
}

void attention_nt_bf16_avx512(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                              const uint16_t* b, int64_t ldb, float* c, int64_t ldc) {
  nt(m, n, k, alpha, a, lda, b, ldb, c, ldc);
}

void attention_nn_avx512(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                         int64_t ldb, float* c, int64_t ldc) {
  for (int64_t j = 0; j < n; j += 16 * kVectors) {
    const int64_t width = n - j < 16 * kVectors ? n - j : 16 * kVectors;
    columns(m, width, k, 1.0f, true, a, lda, b + j, ldb, c + j, ldc);
  }
}

void attention_nn_bf16_avx512(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const uint16_t* b,
                              int64_t ldb, float* c, int64_t ldc) {
  alignas(64) float copy[kDepth * 16 * kVectors];
  for (int64_t j = 0; j < n; j += 16 * kVectors) {
    const int64_t width = n - j < 16 * kVectors ? n - j : 16 * kVectors;
    if (m > 0 && m <= kDecodeRows) {
      kDecodeTiles[m - 1][(width - 1) / 16](width, k, 1.0f, true, a, lda, b + j, ldb, c + j, ldc);
      continue;
    }
    // B is copied, so that it is not converted again for every few rows of A.
    for (int64_t l = 0; l < k; l += kDepth) {
      const int64_t depth = k - l < kDepth ? k - l : kDepth;
      for (int64_t q = 0; q < depth; ++q)
        for (int64_t v = 0; v < width; v += 16)
          _mm512_store_ps(copy + q * 16 * kVectors + v,
                          load16(column_mask(width - v), b + (l + q) * ldb + j + v));
      columns(m, width, depth, 1.0f, true, a + l, lda, copy, 16 * kVectors, c + j, ldc);
    }
  }
}

}  // namespace pare
