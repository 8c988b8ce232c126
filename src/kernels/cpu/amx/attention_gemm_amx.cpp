#include "kernels/cpu/amx/attention_gemm_amx.h"

#include "kernels/cpu/amx/tiles.h"
#include "kernels/cpu/avx512/transpose.h"

namespace pare {
namespace {

constexpr int64_t kRowTiles = 8;    // row tiles of A packed together: 128 rows
constexpr int64_t kDepthTiles = 4;  // tiles of the depth packed together: 128 columns
constexpr int64_t kWide = 2 * kTileRows;

inline __mmask16 lanes(int64_t n) {
  return static_cast<__mmask16>(n >= 16 ? 0xffffu : n > 0 ? (1u << n) - 1u : 0u);
}

// 32 values as bf16, those from `left` on zero.
inline __m512i to_bf16(const float* x, int64_t left, __m512 factor) {
  const __m512 low = _mm512_mul_ps(factor, _mm512_maskz_loadu_ps(lanes(left), x));
  const __m512 high = _mm512_mul_ps(factor, _mm512_maskz_loadu_ps(lanes(left - 16), x + 16));
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

// Row tiles of alpha · A(m, k), the tiles of a row of tiles one after the other.
void pack_a(const float* a, int64_t lda, int64_t m, int64_t k, float alpha, unsigned char* out) {
  const __m512 factor = _mm512_set1_ps(alpha);
  for (int64_t i = 0; i < m; i += kTileRows)
    for (int64_t l = 0; l < k; l += kTileColumns, out += kTileBytes)
      for (int64_t r = 0; r < kTileRows; ++r)
        _mm512_store_si512(
            out + r * 64, i + r < m ? to_bf16(a + (i + r) * lda + l, k - l, factor) : _mm512_setzero_si512());
}

// Tiles of B(n, k)ᵀ for 16 rows of B: pairs along k, transposed.
void pack_nt(const uint16_t* b, int64_t ldb, int64_t n, int64_t k, unsigned char* out) {
  for (int64_t l = 0; l < k; l += kTileColumns, out += kTileBytes) {
    const __mmask32 mask = k - l >= kTileColumns ? 0xffffffffu : (1u << (k - l)) - 1u;
    __m512 pairs[16];
#pragma GCC unroll 16
    for (int64_t j = 0; j < 16; ++j)
      pairs[j] =
          j < n ? _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, b + j * ldb + l)) : _mm512_setzero_ps();
    transpose16(pairs);
#pragma GCC unroll 16
    for (int64_t j = 0; j < 16; ++j) _mm512_store_ps(out + j * 64, pairs[j]);
  }
}

// Tiles of B(k, n) for 16 columns: pairs of rows, interleaved.
void pack_nn(const uint16_t* b, int64_t ldb, int64_t n, int64_t k, unsigned char* out) {
  const __mmask16 mask = lanes(n);
  alignas(64) uint16_t order[32];
  for (uint16_t i = 0; i < 16; ++i) {
    order[2 * i] = i;
    order[2 * i + 1] = static_cast<uint16_t>(16 + i);
  }
  const __m512i interleave = _mm512_load_si512(order);
  for (int64_t l = 0; l < k; l += 2) {
    const __m256i first = _mm256_maskz_loadu_epi16(mask, b + l * ldb);
    const __m256i second =
        l + 1 < k ? _mm256_maskz_loadu_epi16(mask, b + (l + 1) * ldb) : _mm256_setzero_si256();
    const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
    _mm512_store_si512(out + l / 2 * 64, _mm512_permutexvar_epi16(interleave, both));
  }
  for (int64_t pair = (k + 1) / 2; pair % kTileRows != 0; ++pair)
    _mm512_store_si512(out + pair * 64, _mm512_setzero_si512());
}

// Two row tiles × two column tiles of C (rows, columns) (+)= A·B.
struct Product {
  const unsigned char* a;
  const unsigned char* b;
  int64_t k_tiles;
  bool add;
  float* c;
  int64_t ldc;
  int64_t rows;
  int64_t columns;
};

template <bool kTwoRows, bool kTwoColumns>
inline void multiply(const Product& p, float* c, int64_t ldc) {
  const int64_t stride = ldc * static_cast<int64_t>(sizeof(float));
  float* below = c + kTileRows * ldc;
  if (p.add) {
    _tile_loadd(0, c, stride);
    if (kTwoColumns) _tile_loadd(1, c + 16, stride);
    if (kTwoRows) _tile_loadd(2, below, stride);
    if (kTwoRows && kTwoColumns) _tile_loadd(3, below + 16, stride);
  } else {
    _tile_zero(0);
    if (kTwoColumns) _tile_zero(1);
    if (kTwoRows) _tile_zero(2);
    if (kTwoRows && kTwoColumns) _tile_zero(3);
  }
  for (int64_t t = 0; t < p.k_tiles; ++t) {
    const unsigned char* a = p.a + t * kTileBytes;
    const unsigned char* b = p.b + t * kTileBytes;
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b, 64);
    if (kTwoColumns) _tile_loadd(7, b + p.k_tiles * kTileBytes, 64);
    if (kTwoRows) _tile_loadd(5, a + p.k_tiles * kTileBytes, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (kTwoColumns) _tile_dpbf16ps(1, 4, 7);
    if (kTwoRows) _tile_dpbf16ps(2, 5, 6);
    if (kTwoRows && kTwoColumns) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, stride);
  if (kTwoColumns) _tile_stored(1, c + 16, stride);
  if (kTwoRows) _tile_stored(2, below, stride);
  if (kTwoRows && kTwoColumns) _tile_stored(3, below + 16, stride);
}

inline void copy(const float* from, int64_t from_stride, float* to, int64_t to_stride, int64_t rows,
                 int64_t columns) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < columns; j += 16)
      _mm512_mask_storeu_ps(to + r * to_stride + j, lanes(columns - j),
                            _mm512_maskz_loadu_ps(lanes(columns - j), from + r * from_stride + j));
}

// Tiles are whole: what reaches over the edge of C goes through a copy.
void run(const Product& p) {
  alignas(64) float edge[kWide * kWide];
  const bool two_rows = p.rows > kTileRows;
  const bool two_columns = p.columns > kTileRows;
  const bool whole = p.rows % kTileRows == 0 && p.columns % kTileRows == 0;
  if (!whole && p.add) copy(p.c, p.ldc, edge, kWide, p.rows, p.columns);
  float* c = whole ? p.c : edge;
  const int64_t ldc = whole ? p.ldc : kWide;
  if (two_rows && two_columns)
    multiply<true, true>(p, c, ldc);
  else if (two_rows)
    multiply<true, false>(p, c, ldc);
  else if (two_columns)
    multiply<false, true>(p, c, ldc);
  else
    multiply<false, false>(p, c, ldc);
  if (!whole) copy(edge, kWide, p.c, p.ldc, p.rows, p.columns);
}

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// `pack(b, l, j, n, k, out)`: the tiles of columns [j, j + n), n <= 16, and depth [l, l + k).
template <typename Pack>
void product(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, bool add, float* c,
             int64_t ldc, Pack pack) {
  alignas(64) unsigned char packed_a[kRowTiles * kDepthTiles * kTileBytes];
  alignas(64) unsigned char packed_b[2 * kDepthTiles * kTileBytes];
  configure_tiles(kTileRows, 0);
  for (int64_t i = 0; i < m; i += kRowTiles * kTileRows) {
    const int64_t rows = smaller(m - i, kRowTiles * kTileRows);
    for (int64_t l = 0; l < k; l += kDepthTiles * kTileColumns) {
      const int64_t depth = smaller(k - l, kDepthTiles * kTileColumns);
      const int64_t k_tiles = (depth + kTileColumns - 1) / kTileColumns;
      pack_a(a + i * lda + l, lda, rows, depth, alpha, packed_a);
      for (int64_t j = 0; j < n; j += kWide) {
        const int64_t columns = smaller(n - j, kWide);
        for (int64_t v = 0; v < columns; v += 16)
          pack(l, j + v, smaller(16, columns - v), depth, packed_b + v / 16 * k_tiles * kTileBytes);
        for (int64_t r = 0; r < rows; r += kWide)
          run({packed_a + r / kTileRows * k_tiles * kTileBytes, packed_b, k_tiles, add || l > 0,
               c + (i + r) * ldc + j, ldc, smaller(rows - r, kWide), columns});
      }
    }
  }
  _tile_release();
}

}  // namespace

void attention_nt_amx(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                      const uint16_t* b, int64_t ldb, float* c, int64_t ldc) {
  product(m, n, k, alpha, a, lda, false, c, ldc,
          [=](int64_t l, int64_t j, int64_t columns, int64_t depth, unsigned char* out) {
            pack_nt(b + j * ldb + l, ldb, columns, depth, out);
          });
}

void attention_nn_amx(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const uint16_t* b,
                      int64_t ldb, float* c, int64_t ldc) {
  product(m, n, k, 1.0f, a, lda, true, c, ldc,
          [=](int64_t l, int64_t j, int64_t columns, int64_t depth, unsigned char* out) {
            pack_nn(b + l * ldb + j, ldb, columns, depth, out);
          });
}

}  // namespace pare
