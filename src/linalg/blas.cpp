#include "linalg/blas.h"

#include <cmath>

#include "base/error.h"

extern "C" void openblas_set_num_threads(int count);

namespace pare::detail {

void use_one_blas_thread() {
  static const bool done = [] {
    openblas_set_num_threads(1);
    return true;
  }();
  static_cast<void>(done);
}

void require_finite(MatrixView<const double> m, bool lower_only, const char* what) {
  for (int64_t r = 0; r < m.rows; ++r)
    for (int64_t c = 0; c < (lower_only ? r + 1 : m.cols); ++c)
      if (!std::isfinite(m(r, c)))
        fail(ErrorCode::kNumeric, "{}: value ({}, {}) of a {} x {} matrix is {}", what, r, c, m.rows, m.cols,
             m(r, c));
}

}  // namespace pare::detail
