// Parts of a weight that share its bytes.
#pragma once

#include "tensor/weight.h"

namespace pare {

// Rows [first, first + count).
inline Weight rows_of(const Weight& weight, int64_t first, int64_t count) {
  PARE_CHECK(first >= 0 && count >= 0 && first + count <= weight.rows);
  Weight part = weight;
  part.data += first * row_bytes(weight.encoding, weight.cols);
  part.rows = count;
  return part;
}

}  // namespace pare
