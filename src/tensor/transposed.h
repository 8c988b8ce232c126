// The transpose of a matrix.
#pragma once

#include <algorithm>
#include <type_traits>

#include "base/parallel.h"
#include "tensor/matrix.h"

namespace pare {

// Returns mᵀ, (cols, rows).
template <typename T>
Matrix<std::remove_const_t<T>> transposed(MatrixView<T> m) {
  constexpr int64_t kRows = 16;  // rows that are read side by side: a cache line of the result
  constexpr int64_t kCols = 64;
  Matrix<std::remove_const_t<T>> result(m.cols, m.rows);
  parallel_for((m.cols + kCols - 1) / kCols, [&](int64_t piece) {
    const int64_t end = std::min(m.cols, (piece + 1) * kCols);
    for (int64_t r0 = 0; r0 < m.rows; r0 += kRows) {
      const int64_t r1 = std::min(m.rows, r0 + kRows);
      for (int64_t c = piece * kCols; c < end; ++c)
        for (int64_t r = r0; r < r1; ++r) result(c, r) = m(r, c);
    }
  });
  return result;
}

}  // namespace pare
