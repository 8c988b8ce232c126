// Causal attention over the KV cache in blocks: no tokens × tokens matrix.
#pragma once

#include <span>

#include "runtime/kv_cache.h"
#include "tensor/matrix.h"

namespace pare {

// Attention of new tokens whose keys and values are in their segments' caches already.
// queries (rows, heads·head_dim), rotated; out (rows, heads·value_head_dim). Scores are scaled by
// 1/sqrt(head_dim). Online softmax over key blocks (Milakov and Gimelshein 2018; FlashAttention).
void attend(const PackedAttention& shape, std::span<const Segment> segments, MatrixView<const float> queries,
            MatrixView<float> out);

}  // namespace pare
