// Factors of products as sums of two bf16 values: three products on tiles come close to one in f32.
#pragma once

#include "base/bf16.h"

namespace pare {

// The nearest bf16 value; what is left of `value` is at most 2⁻⁹ of it.
inline float bf16_part(float value) { return to_f32(to_bf16(value)); }

}  // namespace pare
