// Packed weights to the bf16 tiles that products need, for the files of this folder.
#pragma once

#include "kernels/cpu/amx/tiles.h"

namespace pare {

// Byte selectors by place code that bring the two kept values of a group, in the lanes of a step, to two
// steps of two columns, before the lane's own offset is added. Those of the second step follow the first's.
struct Selectors {
  alignas(64) uint32_t of[2][16];
};
static constexpr Selectors make_selectors() {
  Selectors s{};
  for (uint32_t code = 0; code < 16; ++code)
    for (uint32_t column = 0; column < 4; ++column) {
      // Bytes 0, 1: the lower kept value; 2, 3: the higher one; 0x80: zero.
      const uint32_t bytes = column == (code & 3) ? 0x0100u : column == code >> 2 ? 0x0302u : 0x8080u;
      s.of[column / 2][code] |= bytes << (16 * (column % 2));
    }
  return s;
}
static constexpr Selectors kSelectors = make_selectors();

class Spread {
 public:
  // Writes two steps, 128 bytes, from the pairs of a group and their places in the lowest four bits of lanes.
  void operator()(__m512i pairs, __m512i places, unsigned char* out) const {
    const __m512i first = _mm512_or_si512(_mm512_permutexvar_epi32(places, first_), lane_);
    const __m512i second = _mm512_or_si512(_mm512_permutexvar_epi32(places, second_), lane_);
    _mm512_store_si512(out, _mm512_shuffle_epi8(pairs, first));
    _mm512_store_si512(out + kStepBytes, _mm512_shuffle_epi8(pairs, second));
  }

 private:
  __m512i first_ = _mm512_load_si512(kSelectors.of[0]);
  __m512i second_ = _mm512_load_si512(kSelectors.of[1]);
  __m512i lane_ = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
};

// Four int8 values a lane become two pairs of bf16, times kInt8Unit: each byte is converted in the uppermost
// place of its lane, which saves its sign extension. Whole numbers up to 127 are exact in bf16, the upper
// half of an f32.
static inline void to_bf16_pairs(__m512i raw, __m512i* first, __m512i* second) {
  const auto bits = [](__m512i on_top) { return _mm512_castps_si512(_mm512_cvtepi32_ps(on_top)); };
  const auto pair = [](__m512i low, __m512i high) {
    return _mm512_mask_mov_epi16(high, 0x55555555u, _mm512_srli_epi32(low, 16));
  };
  const __m512i move1 = _mm512_set4_epi32(0x0d808080, 0x09808080, 0x05808080, 0x01808080);
  const __m512i move2 = _mm512_set4_epi32(0x0e808080, 0x0a808080, 0x06808080, 0x02808080);
  const __m512i c0 = bits(_mm512_slli_epi32(raw, 24));
  const __m512i c1 = bits(_mm512_shuffle_epi8(raw, move1));
  const __m512i c2 = bits(_mm512_shuffle_epi8(raw, move2));
  const __m512i c3 = bits(_mm512_and_si512(raw, _mm512_set1_epi32(static_cast<int>(0xff000000u))));
  *first = pair(c0, c1);
  *second = pair(c2, c3);
}

// Expands a tile of int8 columns, half of a packed one of 64 columns.
static inline void expand_int8(const unsigned char* w, unsigned char* out) {
  for (int64_t s = 0; s < 8; ++s, w += kStepBytes, out += 2 * kStepBytes) {
    __m512i first;
    __m512i second;
    to_bf16_pairs(_mm512_load_si512(w), &first, &second);
    _mm512_store_si512(out, first);
    _mm512_store_si512(out + kStepBytes, second);
  }
}

static inline void expand_bf16_of4(const Spread& spread, const unsigned char* w, unsigned char* out) {
  __m512i places = _mm512_load_si512(w);
#pragma GCC unroll 2
  for (int64_t s = 0; s < 8; ++s, out += 2 * kStepBytes) {
    w += kStepBytes;
    spread(_mm512_load_si512(w), places, out);
    places = _mm512_srli_epi32(places, 4);
  }
}

static inline void expand_int8_of4(const Spread& spread, const unsigned char* w, unsigned char* out) {
  __m512i places = _mm512_load_si512(w);
  for (int64_t s = 0; s < 4; ++s, out += 4 * kStepBytes) {
    w += kStepBytes;
    __m512i first;
    __m512i second;
    to_bf16_pairs(_mm512_load_si512(w), &first, &second);
    spread(first, places, out);
    spread(second, _mm512_srli_epi32(places, 4), out + 2 * kStepBytes);
    places = _mm512_srli_epi32(places, 8);
  }
}

// Expands the packed form of 32 columns (packed_tile_bytes) to a tile.
static inline void expand(PanelFormat format, const Spread& spread, const unsigned char* w,
                          unsigned char* out) {
  if (format == PanelFormat::kInt8)
    expand_int8(w, out);
  else if (format == PanelFormat::kBF16Of4)
    expand_bf16_of4(spread, w, out);
  else
    expand_int8_of4(spread, w, out);
}

}  // namespace pare
