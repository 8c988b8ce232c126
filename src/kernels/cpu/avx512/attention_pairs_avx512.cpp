#include "kernels/cpu/avx512/attention_pairs_avx512.h"

#include <immintrin.h>

#include "kernels/cpu/avx512/bf16_pairs.h"
#include "kernels/cpu/avx512/column_mask.h"
#include "kernels/cpu/avx512/transpose.h"

namespace pare {
namespace {

constexpr int64_t kRows = 6;      // rows of A in a register tile: 6 × 4 accumulators, 4 vectors of B
constexpr int64_t kVectors = 4;   // vectors of B in a register tile
constexpr int64_t kColumns = 64;  // columns of a block of B
constexpr int64_t kPairs = 64;    // pairs along the depth of a block
constexpr int64_t kDepth = 2 * kPairs;
constexpr int64_t kBlockRows = 64;  // rows of A that are rounded at once

// Words of two bf16 that are neighbours along the depth, the lower in the low half. 16 KB each, on the stack.
struct alignas(64) RowBlock {
  uint32_t words[kBlockRows * kPairs];
};
struct alignas(64) ColumnBlock {
  uint32_t words[kPairs * kColumns];
};

inline __mmask32 pair_mask(int64_t values) {
  return values >= 32 ? static_cast<__mmask32>(0xffffffffu)
                      : static_cast<__mmask32>((1u << (values > 0 ? values : 0)) - 1u);
}

inline __m512bh as_pairs(__m512i words) { return reinterpret_cast<__m512bh>(words); }

// C(R, 16·V) (+)= alpha · A(R, pairs) · B(pairs, 16·V), the columns cut to n.
template <int R, int V>
void tile(int64_t n, int64_t pairs, float alpha, bool accumulate, const uint32_t* a, const uint32_t* b,
          float* c, int64_t ldc) {
  __m512 acc[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[r][v] = _mm512_setzero_ps();
  for (int64_t l = 0; l < pairs; ++l, b += kColumns) {
    __m512i row[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) row[v] = _mm512_load_si512(b + 16 * v);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512i pair = _mm512_set1_epi32(static_cast<int>(a[r * kPairs + l]));
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[r][v] = _mm512_dpbf16_ps(acc[r][v], as_pairs(pair), as_pairs(row[v]));
    }
  }
  const __m512 factor = _mm512_set1_ps(alpha);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const __mmask16 mask = column_mask(n - 16 * v);
      float* out = c + r * ldc + 16 * v;
      const __m512 old = accumulate ? _mm512_maskz_loadu_ps(mask, out) : _mm512_setzero_ps();
      _mm512_mask_storeu_ps(out, mask, _mm512_fmadd_ps(factor, acc[r][v], old));
    }
}

using Tile = void (*)(int64_t, int64_t, float, bool, const uint32_t*, const uint32_t*, float*, int64_t);
template <int R>
constexpr Tile kTilesOfRows[kVectors] = {tile<R, 1>, tile<R, 2>, tile<R, 3>, tile<R, 4>};
constexpr const Tile* kTiles[kRows] = {kTilesOfRows<1>, kTilesOfRows<2>, kTilesOfRows<3>,
                                       kTilesOfRows<4>, kTilesOfRows<5>, kTilesOfRows<6>};

// A(rows, depth) rounded to bf16.
void round_rows(const float* a, int64_t lda, int64_t rows, int64_t depth, RowBlock& block) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t l = 0; l < depth; l += 32)
      _mm512_store_si512(block.words + r * kPairs + l / 2, bf16_pairs(a + r * lda + l, depth - l));
}

// B(n, depth)ᵀ; columns from n on are zero.
void transposed(const uint16_t* b, int64_t ldb, int64_t n, int64_t depth, ColumnBlock& block) {
  for (int64_t j0 = 0; j0 < n; j0 += 16)
    for (int64_t l = 0; l < depth; l += 32) {
      const __mmask32 mask = pair_mask(depth - l);
      __m512 v[16];
#pragma GCC unroll 16
      for (int j = 0; j < 16; ++j)
        v[j] = j0 + j < n ? _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, b + (j0 + j) * ldb + l))
                          : _mm512_setzero_ps();
      transpose16(v);
#pragma GCC unroll 16
      for (int s = 0; s < 16; ++s)
        _mm512_store_si512(block.words + (l / 2 + s) * kColumns + j0, _mm512_castps_si512(v[s]));
    }
}

// B(depth, n), two rows beside each other; a row that is missing is zero.
void interleaved(const uint16_t* b, int64_t ldb, int64_t n, int64_t depth, ColumnBlock& block) {
  for (int64_t l = 0; l < depth; l += 2)
    for (int64_t j = 0; j < n; j += 16) {
      const __mmask16 mask = column_mask(n - j);
      const __mmask16 second = l + 1 < depth ? mask : static_cast<__mmask16>(0);
      const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, b + l * ldb + j));
      const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(second, b + (l + 1) * ldb + j));
      _mm512_store_si512(block.words + l / 2 * kColumns + j,
                         _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
}

// Calls fill(l, depth, j, width, block) for the blocks of B.
template <typename Fill>
void multiply(int64_t m, int64_t n, int64_t k, float alpha, bool accumulate, const float* a, int64_t lda,
              float* c, int64_t ldc, Fill fill) {
  RowBlock rows;
  ColumnBlock columns;
  for (int64_t l = 0; l < k; l += kDepth) {
    const int64_t depth = k - l < kDepth ? k - l : kDepth;
    for (int64_t i = 0; i < m; i += kBlockRows) {
      const int64_t count = m - i < kBlockRows ? m - i : kBlockRows;
      round_rows(a + i * lda + l, lda, count, depth, rows);
      for (int64_t j = 0; j < n; j += kColumns) {
        const int64_t width = n - j < kColumns ? n - j : kColumns;
        fill(l, depth, j, width, columns);
        for (int64_t r = 0; r < count; r += kRows) {
          const int64_t height = count - r < kRows ? count - r : kRows;
          kTiles[height - 1][(width - 1) / 16](width, (depth + 1) / 2, alpha, accumulate || l > 0,
                                               rows.words + r * kPairs, columns.words, c + (i + r) * ldc + j,
                                               ldc);
        }
      }
    }
  }
}

}  // namespace

void attention_nt_pairs_avx512(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                               const uint16_t* b, int64_t ldb, float* c, int64_t ldc) {
  multiply(m, n, k, alpha, false, a, lda, c, ldc,
           [&](int64_t l, int64_t depth, int64_t j, int64_t width, ColumnBlock& block) {
             transposed(b + j * ldb + l, ldb, width, depth, block);
           });
}

void attention_nn_pairs_avx512(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
                               const uint16_t* b, int64_t ldb, float* c, int64_t ldc) {
  multiply(m, n, k, 1.0f, true, a, lda, c, ldc,
           [&](int64_t l, int64_t depth, int64_t j, int64_t width, ColumnBlock& block) {
             interleaved(b + l * ldb + j, ldb, width, depth, block);
           });
}

}  // namespace pare
