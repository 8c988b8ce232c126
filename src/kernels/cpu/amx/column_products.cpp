#include "kernels/cpu/column_products.h"

#include "kernels/cpu/amx/tiles.h"
#include "kernels/cpu/avx512/transpose.h"

namespace pare {
namespace {

constexpr int64_t kHalf = 16;  // channels of a tile

int64_t k_tiles_of(int64_t tokens) { return (tokens + kTileColumns - 1) / kTileColumns; }

// Two tokens side by side, both parts.
struct Pair {
  __m512 high;
  __m512 low;
};

inline __m512i interleaved(__m512 first, __m512 second) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                                         22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first)));
}

inline Pair split(__m512 first, __m512 second) {
  const __m512i high = interleaved(first, second);
  const __m512 first_high = _mm512_castsi512_ps(_mm512_slli_epi32(high, 16));
  const __m512 second_high =
      _mm512_castsi512_ps(_mm512_and_si512(high, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
  return {_mm512_castsi512_ps(high), _mm512_castsi512_ps(interleaved(_mm512_sub_ps(first, first_high),
                                                                     _mm512_sub_ps(second, second_high)))};
}

inline void store_tile(const __m512* rows, unsigned char* tile) {
#pragma GCC unroll 16
  for (int64_t i = 0; i < kTileRows; ++i) _mm512_store_ps(tile + i * 64, rows[i]);
}

// A tile of the right factor has rows of pairs of tokens, one of the left factor is its transpose. The high
// part is followed by the low one.
template <bool kLeft, int kParts>
void pack(const float* x, int64_t stride, int64_t tokens, int64_t channels, const double* weights,
          unsigned char* strip) {
  const auto row = [&](int64_t t, int64_t c, __mmask16 mask) {
    if (t >= tokens) return _mm512_setzero_ps();
    const __m512 values = _mm512_maskz_loadu_ps(mask, x + t * stride + c);
    return weights == nullptr ? values
                              : _mm512_mul_ps(values, _mm512_set1_ps(static_cast<float>(weights[t])));
  };
  for (int64_t c = 0; c < kStripChannels; c += kHalf) {
    const int64_t left = channels - c;
    const __mmask16 mask = static_cast<__mmask16>(left >= kHalf ? 0xffffu
                                                  : left > 0    ? (1u << left) - 1u
                                                                : 0u);
    for (int64_t k = 0; k < k_tiles_of(tokens); ++k, strip += kParts * kTileBytes) {
      __m512 high[kTileRows];
      __m512 low[kTileRows];
      for (int64_t i = 0; i < kTileRows; ++i) {
        const int64_t t = k * kTileColumns + 2 * i;
        const __m512 first = row(t, c, mask);
        const __m512 second = row(t + 1, c, mask);
        if (kParts == 1) {
          high[i] = _mm512_castsi512_ps(interleaved(first, second));
        } else {
          const Pair pair = split(first, second);
          high[i] = pair.high;
          low[i] = pair.low;
        }
      }
      if (kLeft) transpose16(high);
      store_tile(high, strip);
      if (kParts == 1) continue;
      if (kLeft) transpose16(low);
      store_tile(low, strip + kTileBytes);
    }
  }
}

// Returns the mask of the first `count` of eight values.
inline __mmask8 lanes(int64_t count) {
  return static_cast<__mmask8>(count >= 8 ? 0xffu : (1u << count) - 1u);
}

// Multiplies the tiles in 4, 5 by those in 6, 7.
inline void multiply() {
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

}  // namespace

void pack_left_strip_amx(const float* x, int64_t stride, int64_t tokens, int64_t channels,
                         const double* weights, int parts, unsigned char* strip) {
  (parts == 1 ? pack<true, 1> : pack<true, 2>)(x, stride, tokens, channels, weights, strip);
}

void pack_right_strip_amx(const float* x, int64_t stride, int64_t tokens, int64_t channels, int parts,
                          unsigned char* strip) {
  (parts == 1 ? pack<false, 1> : pack<false, 2>)(x, stride, tokens, channels, nullptr, strip);
}

void begin_strip_products_amx() { configure_tiles(kTileRows, 0); }

void strip_product_amx(const unsigned char* left, const unsigned char* right, int64_t tokens, int parts,
                       bool add, float* sums, int64_t stride) {
  const int64_t row_bytes = stride * static_cast<int64_t>(sizeof(float));
  float* below = sums + kHalf * stride;
  if (add) {
    _tile_loadd(0, sums, row_bytes);
    _tile_loadd(1, sums + kHalf, row_bytes);
    _tile_loadd(2, below, row_bytes);
    _tile_loadd(3, below + kHalf, row_bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  const int64_t step = parts * kTileBytes;
  const int64_t half = k_tiles_of(tokens) * step;
  for (int64_t k = 0; k < k_tiles_of(tokens); ++k, left += step, right += step) {
    if (parts == 2) {
      _tile_loadd(4, left + kTileBytes, 64);  // low · high
      _tile_loadd(6, right, 64);
      _tile_loadd(7, right + half, 64);
      _tile_loadd(5, left + half + kTileBytes, 64);
      multiply();
    } else {
      _tile_loadd(6, right, 64);
      _tile_loadd(7, right + half, 64);
    }
    _tile_loadd(4, left, 64);  // high · high
    _tile_loadd(5, left + half, 64);
    multiply();
    if (parts == 1) continue;
    _tile_loadd(6, right + kTileBytes, 64);  // high · low
    _tile_loadd(7, right + half + kTileBytes, 64);
    multiply();
  }
  _tile_stored(0, sums, row_bytes);
  _tile_stored(1, sums + kHalf, row_bytes);
  _tile_stored(2, below, row_bytes);
  _tile_stored(3, below + kHalf, row_bytes);
}

void end_strip_products_amx() { _tile_release(); }

void add_strip_sums_amx(const float* sums, int64_t rows, int64_t columns, double* c, int64_t stride) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < columns; j += 8) {
      const __mmask8 mask = lanes(columns - j);
      double* to = c + r * stride + j;
      const __m512d part = _mm512_cvtps_pd(_mm256_load_ps(sums + r * kStripChannels + j));
      _mm512_mask_storeu_pd(to, mask, _mm512_add_pd(_mm512_maskz_loadu_pd(mask, to), part));
    }
}

double strip_inner_product_amx(const float* sums, int64_t rows, int64_t columns, const double* h,
                               int64_t stride) {
  __m512d total = _mm512_setzero_pd();
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < columns; j += 8) {
      const __m512d part = _mm512_cvtps_pd(_mm256_load_ps(sums + r * kStripChannels + j));
      total = _mm512_fmadd_pd(_mm512_maskz_loadu_pd(lanes(columns - j), h + r * stride + j), part, total);
    }
  return _mm512_reduce_add_pd(total);
}

}  // namespace pare
