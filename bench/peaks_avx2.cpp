#include <immintrin.h>

#include "peaks.h"

namespace pare::bench {

float multiply_add_avx2(int64_t rounds) {
  __m256 acc[12];
#pragma GCC unroll 12
  for (int j = 0; j < 12; ++j) acc[j] = _mm256_set1_ps(0.5f);
  const __m256 x = _mm256_set1_ps(0.999f);
  for (int64_t i = 0; i < 4 * rounds; ++i)
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) {
      acc[j] = _mm256_fmadd_ps(acc[j], x, x);
      __asm__ volatile("" : "+x"(acc[j]));
    }
#pragma GCC unroll 12
  for (int j = 1; j < 12; ++j) acc[0] = _mm256_add_ps(acc[0], acc[j]);
  float lanes[8];
  _mm256_storeu_ps(lanes, acc[0]);
  return lanes[0];
}

}  // namespace pare::bench
