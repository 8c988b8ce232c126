// Gradients of causal attention, in tiles of queries: no tokens × tokens matrix.
#pragma once

#include <span>

#include "kernels/cpu/cpu_features.h"
#include "kernels/kv_store.h"
#include "tensor/matrix.h"

namespace pare {

// Rows that Backend::attend_adjoint reads and writes.
struct AttentionGradients {
  MatrixView<const float> q, k, v, dy;
  MatrixView<float> dq, dk, dv;
};

// Runs Backend::attend_adjoint with the kernels of an instruction set. A tile's probabilities are computed
// again; sums over queries run in order, so that results do not depend on the thread count.
void attend_adjoint_in_tiles(Isa isa, const AttentionShape& shape, std::span<const Segment> segments,
                             const AttentionGradients& rows);

}  // namespace pare
