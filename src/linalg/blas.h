// One thread inside OpenBLAS, always: our own loops split the work into fixed pieces instead.
#pragma once

#include <cstdint>

#include "tensor/matrix.h"

namespace pare::detail {

// Turns off OpenBLAS's own threads. Call it before any BLAS or LAPACK routine.
void use_one_blas_thread();
// Throws kNumeric naming `what` if a value (of the lower triangle) is NaN or infinite.
void require_finite(MatrixView<const double> m, bool lower_only, const char* what);

}  // namespace pare::detail
