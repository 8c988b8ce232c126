// Units of fixed-point numbers, for the files of this folder.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "kernels/cpu/avx512/column_mask.h"

namespace pare {

inline constexpr int64_t kFixedColumns = 256;  // columns of x that have one unit

// Returns the power of two of which the largest of `columns` values is less than 2^bits. Half of it is the
// most that rounding to whole numbers of it loses. Values from `known` on are zeros and are not read. The
// unit is NaN if a value is, which whole numbers could not show.
static inline __m512 unit_of(const float* row, int64_t known, int64_t columns, int bits) {
  __m512 largest = _mm512_setzero_ps();
  __mmask16 nan = 0;
  for (int64_t k = 0; k < columns; k += 16) {
    const __m512 x = _mm512_maskz_loadu_ps(column_mask(known - k), row + k);
    largest = _mm512_max_ps(largest, _mm512_abs_ps(x));
    nan = static_cast<__mmask16>(nan | _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q));
  }
  if (nan != 0) return _mm512_set1_ps(__builtin_nanf(""));
  // 2^(e + 1 - bits), e the exponent of the largest.
  const __m512 exponent = _mm512_getexp_ps(_mm512_set1_ps(_mm512_reduce_max_ps(largest)));
  const __m512 shift = _mm512_set1_ps(static_cast<float>(1 - bits));
  return _mm512_scalef_ps(_mm512_set1_ps(1.0f),
                          _mm512_max_ps(_mm512_add_ps(exponent, shift), _mm512_set1_ps(-110.0f)));
}

}  // namespace pare
