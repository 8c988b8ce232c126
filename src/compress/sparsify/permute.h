// Other orders of a stream's channels: exact changes of a model that need nothing at run time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"

namespace pare {

// In every order, channel i becomes what was channel order[i].

// Neurons of the stage's MLP: rows of gate (where there is one) and up, columns of down.
void permute_hidden(Stage& stage, std::span<const int64_t> order);
// Value dimensions of one KV head: rows of v, columns of o for every query head that shares the head.
void permute_values(Stage& stage, int64_t kv_head, std::span<const int64_t> order);
// The residual stream of the whole model, of one width everywhere: embedding, positions, norms, readers,
// writers, matrices beside the stream, head. Throws kUnsupported when the widths differ.
void permute_residual(Model& model, std::span<const int64_t> order);

}  // namespace pare
