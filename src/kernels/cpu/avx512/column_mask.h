// The lanes of a panel that are outputs, for the files of this folder.
#pragma once

#include <immintrin.h>
#include <stdint.h>

namespace pare {

static inline __mmask16 column_mask(int64_t columns) {
  return columns >= 16 ? static_cast<__mmask16>(0xffff)
                       : static_cast<__mmask16>((1u << (columns > 0 ? columns : 0)) - 1u);
}

}  // namespace pare
