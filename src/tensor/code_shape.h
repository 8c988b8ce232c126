// The shape of low-bit codes and of what scales them. Plain structs only: the kernels of every instruction
// set include it.
#pragma once

#include <stdint.h>

namespace pare {

// Numbers that scales are made of, beside one factor a row.
enum class ScaleForm {
  kHalf,   // an f16 for each part
  kSuper,  // a whole number of 8 bits for each part, times an f16 for every 256 columns
  kRow     // a whole number of 8 bits for each part
};

// Codes of `bits` bits (none: 0), neighbouring columns of which share a scale.
struct CodeShape {
  int bits = 0;      // 2, 3, 4, 5, 6 or 8
  int64_t part = 0;  // columns that share a scale: 16 or 32
  ScaleForm form = ScaleForm::kHalf;
  bool minima = false;  // true: a minimum in the form of the scales stands beside each

  friend constexpr bool operator==(const CodeShape&, const CodeShape&) = default;
};

inline constexpr int64_t kSuperColumns = 256;  // columns of ScaleForm::kSuper that share an f16

}  // namespace pare
