// Other orders of a stream's channels: exact changes of a model that need nothing at run time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"

namespace pare {

// In every order, channel i becomes what was channel order[i].

// What a weight is encoded as once its columns are in another order: blocks do not survive that.
Encoding permuted_encoding(const Weight& weight);

// Neurons of the stage's MLP: rows of gate (where there is one) and up, columns of down.
void permute_hidden(Stage& stage, std::span<const int64_t> order);
// Value dimensions of one KV head: rows of v, columns of o for every query head that shares the head.
void permute_values(Stage& stage, int64_t kv_head, std::span<const int64_t> order);
// The residual stream, of one width everywhere. Of a large model the stages are not permuted before they are
// worked on: together they would not fit into memory. Of a stage: its norm, the columns of readers, the rows
// of writers, a matrix beside the stream.
Stage permute_residual(const Stage& stage, std::span<const int64_t> order);
// All but the stages: embedding, positions, last norm, head. Throws kUnsupported when the stream has several
// widths, in the stages too.
void permute_residual_ends(Model& model, std::span<const int64_t> order);

}  // namespace pare
