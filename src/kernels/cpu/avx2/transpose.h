// Transposes of 8 × 8 in registers, for the files of this folder.
#pragma once

#include <immintrin.h>

namespace pare {

// v[i][j] becomes v[j][i].
static inline void transpose8(__m256* v) {
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

// Lane i is the sum of the lanes of v[i].
static inline __m256 sums8(const __m256* v) {
  __m256 twos[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    twos[i] =
        _mm256_add_ps(_mm256_unpacklo_ps(v[2 * i], v[2 * i + 1]), _mm256_unpackhi_ps(v[2 * i], v[2 * i + 1]));
  __m256 fours[2];
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)
    fours[i] = _mm256_add_ps(_mm256_shuffle_ps(twos[2 * i], twos[2 * i + 1], 0x44),
                             _mm256_shuffle_ps(twos[2 * i], twos[2 * i + 1], 0xee));
  return _mm256_add_ps(_mm256_permute2f128_ps(fours[0], fours[1], 0x20),
                       _mm256_permute2f128_ps(fours[0], fours[1], 0x31));
}

}  // namespace pare
