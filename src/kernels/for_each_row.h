// Loops over rows of activations on all threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/parallel.h"

namespace pare {

// Calls body(row) for every row, in pieces of a fixed size.
template <typename Body>
void for_each_row(int64_t rows, Body&& body) {
  constexpr int64_t kRowsPerTask = 16;
  parallel_for((rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t chunk) {
    for (int64_t r = chunk * kRowsPerTask; r < std::min(rows, (chunk + 1) * kRowsPerTask); ++r) body(r);
  });
}

}  // namespace pare
