// Loading and storing parts of vectors, and the values of panels, for the files of this folder.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "kernels/cpu/panel.h"

namespace pare {

// A mask of the first n of eight lanes.
static inline __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// Sixteen outputs. Handed over by value: accumulators whose address is taken are kept in memory by GCC.
struct Sixteen {
  __m256 low, high;
};

// Loads sixteen outputs, zeros without `load`; ragged panels go through a local copy.
static inline Sixteen load16(bool load, const float* y, int64_t columns) {
  if (!load) return {_mm256_setzero_ps(), _mm256_setzero_ps()};
  float local[16] = {};
  if (columns < 16) {
    for (int64_t i = 0; i < columns; ++i) local[i] = y[i];
    y = local;
  }
  return {_mm256_loadu_ps(y), _mm256_loadu_ps(y + 8)};
}

static inline void store16(float* y, int64_t columns, __m256 a, __m256 b) {
  if (columns >= 16) {
    _mm256_storeu_ps(y, a);
    _mm256_storeu_ps(y + 8, b);
    return;
  }
  float local[16];
  _mm256_storeu_ps(local, a);
  _mm256_storeu_ps(local + 8, b);
  for (int64_t i = 0; i < columns; ++i) y[i] = local[i];
}

// Factor of int8 values as held: converting a byte in the uppermost place saves its sign extension.
template <PanelFormat kFormat>
constexpr float kUnit = is_int8(kFormat) ? 0x1p24f : 1.0f;

// Returns the factors of the sums of the job's panel `panel`. Sums that are not finished yet stay times
// kUnit.
template <PanelFormat kFormat>
static inline Sixteen scales_of(const PanelJob& job, int64_t panel) {
  if (job.scales == nullptr) return {_mm256_set1_ps(1.0f), _mm256_set1_ps(1.0f)};
  const float* at = job.scales + panel * kPanelRows;
  const __m256 unit = _mm256_set1_ps(1.0f / kUnit<kFormat>);
  return {_mm256_mul_ps(_mm256_loadu_ps(at), unit), _mm256_mul_ps(_mm256_loadu_ps(at + 8), unit)};
}

// Byte j of every lane in its uppermost place, zeros below.
static inline __m256i byte_on_top(__m256i raw, int j) {
  if (j == 0) return _mm256_slli_epi32(raw, 24);
  if (j == 3) return _mm256_and_si256(raw, _mm256_set1_epi32(static_cast<int>(0xff000000u)));
  const int c = static_cast<int>(0x00808080u) + j * 0x01000000;
  const int c1 = c + 0x04000000;
  const int c2 = c + 0x08000000;
  const int c3 = c + 0x0c000000;
  return _mm256_shuffle_epi8(raw, _mm256_setr_epi32(c, c1, c2, c3, c, c1, c2, c3));
}

// Value j of every lane of half a step of a panel, times kUnit.
template <PanelFormat kFormat>
static inline __m256 lane_value(__m256i raw, int j) {
  if constexpr (kFormat == PanelFormat::kF32)
    return _mm256_castsi256_ps(raw);
  else if constexpr (is_int8(kFormat))
    return _mm256_cvtepi32_ps(byte_on_top(raw, j));
  else
    return _mm256_castsi256_ps(j == 0
                                   ? _mm256_slli_epi32(raw, 16)
                                   : _mm256_and_si256(raw, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
}

}  // namespace pare
