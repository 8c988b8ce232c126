// Causal attention over keys and values in blocks: no tokens × tokens matrix.
#pragma once

#include <span>

#include "kernels/cpu/cpu_features.h"
#include "kernels/kv_store.h"
#include "tensor/matrix.h"

namespace pare {

// Runs Backend::attend with the kernels of an instruction set. Online softmax over key blocks (Milakov
// and Gimelshein 2018; FlashAttention).
void attend_in_blocks(Isa isa, const AttentionShape& shape, std::span<const Segment> segments,
                      MatrixView<const float> queries, MatrixView<float> out);

}  // namespace pare
