#include "kernels/cpu/vector_ops.h"

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/vector_ops_tables.h"

namespace pare {

const VectorOps& vector_ops(Isa isa) {
  if (isa >= Isa::kAvx512) return kVectorOpsAvx512;
  return isa == Isa::kAvx2 ? kVectorOpsAvx2 : kVectorOpsReference;
}

const VectorOps& vector_ops() {
  static const VectorOps& table = vector_ops(active_isa());
  return table;
}

}  // namespace pare
