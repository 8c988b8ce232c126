// Loading and storing parts of vectors, for the files of this folder.
#pragma once

#include <immintrin.h>
#include <stdint.h>

namespace pare {

// A mask of the first n of eight lanes.
static inline __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// Sixteen outputs in two vectors; ragged panels go through a local copy.
static inline void load16(const float* y, int64_t columns, __m256* a, __m256* b) {
  float local[16] = {};
  if (columns < 16) {
    for (int64_t i = 0; i < columns; ++i) local[i] = y[i];
    y = local;
  }
  *a = _mm256_loadu_ps(y);
  *b = _mm256_loadu_ps(y + 8);
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

}  // namespace pare
