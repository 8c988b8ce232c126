// Words of two neighbouring bf16 values, the first in the low half, for the files of this folder.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "kernels/cpu/avx512/column_mask.h"

namespace pare {

// Rounds 32 values to bf16; those from `known` on are zeros and are not read.
static inline __m512i bf16_pairs(const float* x, int64_t known) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(column_mask(known - 16), x + 16),
                                                       _mm512_maskz_loadu_ps(column_mask(known), x)));
}

// Puts lanes that bf16 holds exactly side by side.
static inline __m512i exact_pairs(__m512 low, __m512 high) {
  return _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(low), 16), _mm512_castps_si512(high));
}

}  // namespace pare
