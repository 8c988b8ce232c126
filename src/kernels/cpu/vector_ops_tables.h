// The vector operation tables of the instruction sets.
#pragma once

#include "kernels/cpu/vector_ops.h"

namespace pare {

extern const VectorOps kVectorOpsReference;
extern const VectorOps kVectorOpsAvx2;
extern const VectorOps kVectorOpsAvx512;

}  // namespace pare
