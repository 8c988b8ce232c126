#include "kernels/cpu/avx2/attention_gemm_avx2.h"

#include <immintrin.h>

#include "kernels/cpu/avx2/lanes.h"
#include "kernels/cpu/avx2/transpose.h"

namespace pare {
namespace {

constexpr int64_t kRows = 6;      // rows of A in a register tile: 6 × 2 accumulators, 2 vectors of B
constexpr int64_t kColumns = 16;  // columns of a register tile
constexpr int64_t kDepth = 128;   // depth of a copied block of B, on the stack
// Most rows of A in a decoding step: B comes from memory there, and the cache continues behind B.
constexpr int kDecodeRows = 3;
constexpr int64_t kPrefetchRows = 64;

inline __m256 load8(const float* b) { return _mm256_loadu_ps(b); }
inline __m256 load8(const uint16_t* b) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

// Sixteen values in the order that is quickest to load: of bf16 the even ones and the odd ones.
inline Sixteen load_pair(const float* b) { return {_mm256_loadu_ps(b), _mm256_loadu_ps(b + 8)}; }
inline Sixteen load_pair(const uint16_t* b) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(bits, 16)),
          _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(static_cast<int>(0xffff0000u))))};
}

template <typename T>
constexpr bool kSplit = sizeof(T) == 2;

// Puts the values back into the order of the columns.
template <typename T>
Sixteen in_order(__m256 low, __m256 high) {
  if (!kSplit<T>) return {low, high};
  const __m256 a = _mm256_unpacklo_ps(low, high);
  const __m256 b = _mm256_unpackhi_ps(low, high);
  return {_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)};
}

inline float value_of(float b) { return b; }
inline float value_of(uint16_t b) {
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(uint32_t{b} << 16))));
}

// C(R, 16·V) (+)= alpha · A(R, k) · B(k, 16·V), the columns cut to n.
template <int R, int V, typename T>
void tile(int64_t n, int64_t k, float alpha, bool accumulate, const float* a, int64_t lda, const T* b,
          int64_t ldb, float* c, int64_t ldc) {
  __m256 acc[R][2 * V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < 2 * V; ++v) acc[r][v] = _mm256_setzero_ps();
  for (int64_t l = 0; l < k; ++l, b += ldb)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      if (R <= kDecodeRows)
        _mm_prefetch(reinterpret_cast<const char*>(b + kPrefetchRows * ldb + 16 * v), _MM_HINT_T0);
      const Sixteen row = load_pair(b + 16 * v);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m256 value = _mm256_broadcast_ss(a + r * lda + l);
        acc[r][2 * v] = _mm256_fmadd_ps(value, row.low, acc[r][2 * v]);
        acc[r][2 * v + 1] = _mm256_fmadd_ps(value, row.high, acc[r][2 * v + 1]);
      }
    }
  const __m256 factor = _mm256_set1_ps(alpha);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      float* out = c + r * ldc + 16 * v;
      const Sixteen old = load16(accumulate, out, n - 16 * v);
      const Sixteen sum = in_order<T>(acc[r][2 * v], acc[r][2 * v + 1]);
      store16(out, n - 16 * v, _mm256_fmadd_ps(factor, sum.low, old.low),
              _mm256_fmadd_ps(factor, sum.high, old.high));
    }
}

template <typename T>
using Tile = void (*)(int64_t, int64_t, float, bool, const float*, int64_t, const T*, int64_t, float*,
                      int64_t);
template <typename T>
constexpr Tile<T> kTiles[kRows] = {tile<1, 1, T>, tile<2, 1, T>, tile<3, 1, T>,
                                   tile<4, 1, T>, tile<5, 1, T>, tile<6, 1, T>};

template <typename T>
void tiles(int64_t m, int64_t n, int64_t k, float alpha, bool accumulate, const float* a, int64_t lda,
           const T* b, int64_t ldb, float* c, int64_t ldc) {
  for (int64_t i = 0; i < m; i += kRows)
    kTiles<T>[(m - i < kRows ? m - i : kRows) - 1](n, k, alpha, accumulate, a + i * lda, lda, b, ldb,
                                                   c + i * ldc, ldc);
}

// out(k, 8 of 16) = B(8, k)ᵀ; rows from n on are zero.
template <typename T>
void transpose_rows(const T* b, int64_t ldb, int64_t n, int64_t k, float* out) {
  int64_t l = 0;
  for (; n >= 8 && l + 8 <= k; l += 8) {
    __m256 v[8];
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) v[j] = load8(b + j * ldb + l);
    transpose8(v);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) _mm256_storeu_ps(out + (l + j) * kColumns, v[j]);
  }
  for (; l < k; ++l)
    for (int64_t j = 0; j < 8; ++j) out[l * kColumns + j] = j < n ? value_of(b[j * ldb + l]) : 0.0f;
}

// The inverse of in_order.
template <typename T>
Sixteen as_loaded(Sixteen x) {
  if (!kSplit<T>) return x;
  const __m256 even = _mm256_shuffle_ps(x.low, x.high, 0x88);
  const __m256 odd = _mm256_shuffle_ps(x.low, x.high, 0xdd);
  return {_mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(even), 0xd8)),
          _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(odd), 0xd8))};
}

// R rows of A in the order of load_pair, with zeros behind them up to whole pairs.
template <int R, typename T>
void arrange(int64_t k, const float* a, int64_t lda, float (*out)[kDepth]) {
  for (int r = 0; r < R; ++r)
    for (int64_t l = 0; l < k; l += 16) {
      const Sixteen x = as_loaded<T>(load16(true, a + r * lda + l, k - l));
      _mm256_storeu_ps(out[r] + l, x.low);
      _mm256_storeu_ps(out[r] + l + 8, x.high);
    }
}

// acc += the products of 16 values of R rows of A and K rows of B.
template <int R, int K, typename T>
[[gnu::always_inline]] inline void add_pairs(__m256 (&acc)[R][K], const float (*a)[kDepth], int64_t l,
                                             const T* b, int64_t ldb) {
  Sixteen values[K];
#pragma GCC unroll 4
  for (int j = 0; j < K; ++j) values[j] = load_pair(b + j * ldb);
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    const __m256 low = _mm256_loadu_ps(a[r] + l);
    const __m256 high = _mm256_loadu_ps(a[r] + l + 8);
#pragma GCC unroll 4
    for (int j = 0; j < K; ++j) acc[r][j] = _mm256_fmadd_ps(low, values[j].low, acc[r][j]);
#pragma GCC unroll 4
    for (int j = 0; j < K; ++j) acc[r][j] = _mm256_fmadd_ps(high, values[j].high, acc[r][j]);
  }
}

// Writes sums[r][first + j], of eight lanes, for K rows of B.
template <int R, int K, typename T>
void partial_sums(int64_t k, const float (*a)[kDepth], const T* b, int64_t ldb, __m256 (*sums)[8],
                  int64_t first) {
  __m256 acc[R][K];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < K; ++j) acc[r][j] = _mm256_setzero_ps();
  int64_t l = 0;
  for (; l + 16 <= k; l += 16) {
#pragma GCC unroll 4
    for (int j = 0; j < K; ++j)
      _mm_prefetch(reinterpret_cast<const char*>(b + l + (kPrefetchRows + j) * ldb), _MM_HINT_T0);
    add_pairs(acc, a, l, b + l, ldb);
  }
  if (l < k) {
    T rest[K][16] = {};
    for (int j = 0; j < K; ++j)
      for (int64_t i = 0; i < k - l; ++i) rest[j][i] = b[j * ldb + l + i];
    add_pairs(acc, a, l, &rest[0][0], 16);
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < K; ++j) sums[r][first + j] = acc[r][j];
}

// Multiplies R rows of A by all rows of B, eight of them at a time.
template <int R, typename T>
void dots(int64_t n, int64_t k, float alpha, bool accumulate, const float* a, int64_t lda, const T* b,
          int64_t ldb, float* c, int64_t ldc) {
  constexpr int kTogether = R == 1 ? 4 : 2;  // rows of B that share the loads of A
  float queries[R][kDepth];
  arrange<R, T>(k, a, lda, queries);
  for (int64_t j0 = 0; j0 < n; j0 += 8) {
    const int64_t count = n - j0 < 8 ? n - j0 : 8;
    __m256 sums[R][8];
    for (int64_t j = count; j < 8; ++j)
      for (int r = 0; r < R; ++r) sums[r][j] = _mm256_setzero_ps();
    int64_t j = 0;
    for (; j + kTogether <= count; j += kTogether)
      partial_sums<R, kTogether>(k, queries, b + (j0 + j) * ldb, ldb, sums, j);
    for (; j < count; ++j) partial_sums<R, 1>(k, queries, b + (j0 + j) * ldb, ldb, sums, j);
    for (int r = 0; r < R; ++r) {
      __m256 total = _mm256_mul_ps(sums8(sums[r]), _mm256_set1_ps(alpha));
      float* out = c + r * ldc + j0;
      const __m256i lanes = first_lanes(count);
      if (accumulate) total = _mm256_add_ps(total, _mm256_maskload_ps(out, lanes));
      if (count == 8)
        _mm256_storeu_ps(out, total);
      else
        _mm256_maskstore_ps(out, lanes, total);
    }
  }
}

// Takes k in pieces that dots() holds.
template <int R, typename T>
void all_dots(int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const T* b, int64_t ldb,
              float* c, int64_t ldc) {
  for (int64_t l = 0; l < k || l == 0; l += kDepth)
    dots<R>(n, k - l < kDepth ? k - l : kDepth, alpha, l > 0, a + l, lda, b + l, ldb, c, ldc);
}

template <typename T>
void nt(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const T* b, int64_t ldb,
        float* c, int64_t ldc) {
  switch (m) {
    case 1:
      return all_dots<1>(n, k, alpha, a, lda, b, ldb, c, ldc);
    case 2:
      return all_dots<2>(n, k, alpha, a, lda, b, ldb, c, ldc);
    case 3:
      return all_dots<3>(n, k, alpha, a, lda, b, ldb, c, ldc);
    case 4:
      return all_dots<4>(n, k, alpha, a, lda, b, ldb, c, ldc);
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

// Multiplies as many whole tiles as there are, wide ones while registers suffice; returns the columns that
// are done.
template <int R, typename T>
int64_t nn_decoding(int64_t n, int64_t k, const float* a, int64_t lda, const T* b, int64_t ldb, float* c,
                    int64_t ldc) {
  constexpr int kVectors = R == 1 ? 4 : R == 2 || !kSplit<T> ? 2 : 1;
  constexpr int64_t kWidth = 16 * kVectors;
  const int64_t done = n / kWidth * kWidth;
  // Rows come in blocks, so that a block is still in the first cache.
  for (int64_t l = 0; l < k; l += kPrefetchRows)
    for (int64_t j = 0; j < done; j += kWidth)
      tile<R, kVectors>(kWidth, k - l < kPrefetchRows ? k - l : kPrefetchRows, 1.0f, true, a + l, lda,
                        b + l * ldb + j, ldb, c + j, ldc);
  return done;
}

template <typename T>
void nn(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const T* b, int64_t ldb, float* c,
        int64_t ldc) {
  int64_t j = 0;
  if (m == 1) j = nn_decoding<1>(n, k, a, lda, b, ldb, c, ldc);
  if (m == 2) j = nn_decoding<2>(n, k, a, lda, b, ldb, c, ldc);
  if (m == 3) j = nn_decoding<3>(n, k, a, lda, b, ldb, c, ldc);
  for (; j + kColumns <= n; j += kColumns) tiles(m, kColumns, k, 1.0f, true, a, lda, b + j, ldb, c + j, ldc);
  if (j == n) return;
  float padded[kDepth * kColumns];
  for (int64_t l = 0; l < k; l += kDepth) {
    const int64_t depth = k - l < kDepth ? k - l : kDepth;
    for (int64_t q = 0; q < depth; ++q)
      for (int64_t i = 0; i < kColumns; ++i)
        padded[q * kColumns + i] = j + i < n ? value_of(b[(l + q) * ldb + j + i]) : 0.0f;
    tiles(m, n - j, depth, 1.0f, true, a + l, lda, padded, kColumns, c + j, ldc);
  }
}

}  // namespace

void attention_nt_avx2(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                       const float* b, int64_t ldb, float* c, int64_t ldc) {
  nt(m, n, k, alpha, a, lda, b, ldb, c, ldc);
}

void attention_nt_bf16_avx2(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                            const uint16_t* b, int64_t ldb, float* c, int64_t ldc) {
  nt(m, n, k, alpha, a, lda, b, ldb, c, ldc);
}

void attention_nn_avx2(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                       int64_t ldb, float* c, int64_t ldc) {
  nn(m, n, k, a, lda, b, ldb, c, ldc);
}

void attention_nn_bf16_avx2(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const uint16_t* b,
                            int64_t ldb, float* c, int64_t ldc) {
  nn(m, n, k, a, lda, b, ldb, c, ldc);
}

}  // namespace pare
