#include "kernels/attention.h"

#include "kernels/amx/attention_gemm_amx.h"
#include "kernels/cpu_features.h"
#include "kernels/vector_ops.h"

namespace pare {

AttentionProducts attention_products(ComputeType compute, int64_t rows, Isa isa) {
  if (compute != ComputeType::kF32 && isa >= Isa::kAmx && rows >= kTileQueries)
    return {attention_nt_amx, attention_nn_amx, 128};
  const VectorOps& ops = vector_ops(isa);
  return {ops.gemm_nt, ops.gemm_nn, 64};
}

AttentionProducts attention_products(ComputeType compute, int64_t rows) {
  return attention_products(compute, rows, active_isa());
}

}  // namespace pare
