// Other orders of a stream's channels: exact changes of a model that need nothing at run time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "model/model.h"

namespace pare {

// In every order, channel i becomes what was channel order[i].

// Reorders neurons of the stage's MLP: rows of gate (where there is one) and up, columns of down.
void permute_hidden(Stage& stage, std::span<const int64_t> order);
// Reorders value dimensions of one KV head: rows of v, columns of o for every query head that shares it.
void permute_values(Stage& stage, int64_t kv_head, std::span<const int64_t> order);
// Reorders the residual stream in a stage: its norm, the columns of readers, the rows of writers, a matrix
// beside the stream. The stream has one width everywhere. Stages of a large model are not permuted before
// they are worked on: together they would not fit into memory.
Stage permute_residual(const Stage& stage, std::span<const int64_t> order);
// Returns a width that the residual stream has somewhere, in a stage or at the embedding, beside this one.
std::optional<int64_t> other_residual_width(const Model& model, int64_t width);
// Reorders all but the stages: embedding, positions, last norm, head. The stream has one width everywhere.
void permute_residual_ends(Model& model, std::span<const int64_t> order);

}  // namespace pare
