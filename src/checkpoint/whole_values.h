// Widens the value streams of attention to the width of queries and keys, as GGUF files need them.
#pragma once

#include "model/model.h"

namespace pare {

// Gives the value streams of a configuration head_dim. Returns the number of layers where they were narrower.
int64_t make_values_whole(ModelConfig& config);

// Returns a model of the same function with value streams of head_dim: narrower ones get rows of zeros in v
// and columns of zeros in o, which are then dense, in f32, f16 or bf16 (others become bf16). Logs the added
// parameters. Throws kUnsupported naming whatever else keeps the model out of a GGUF file.
Model with_whole_values(const Model& model);

}  // namespace pare
