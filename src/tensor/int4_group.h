// Four-bit weights: groups of values that share a scale.
#pragma once

#include <cstdint>

#include "tensor/encoding.h"

namespace pare {

struct Int4Group {
  float scale;         // not negative; a value of its type
  int32_t zero_point;  // the code that means zero: 8 unless zero points were asked for
};

// Rounds n finite values to codes of 0..15, kept as f32, where x ≈ scale · (code − zero_point). Of a few
// ranges, from 0.55 to 1.10 times that of the values, the one whose codes leave the least squared error is
// taken, with the scale that is best for these codes. The zero point lets an uneven range use all codes. A
// value of zero stays zero. A scale of 16 bits (`scale_type`: f32, f16 or bf16) is rounded to its type before
// the codes are chosen; where it vanishes, all values are zero. `codes` may be x.
Int4Group round_to_int4(const float* x, int64_t n, bool zero_points, float* codes,
                        Encoding scale_type = Encoding::kF32);

}  // namespace pare
