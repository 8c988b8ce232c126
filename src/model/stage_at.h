// Stages of a model by one index.
#pragma once

#include "model/model.h"

namespace pare {

// Returns the number of stages of a model; all blocks have equally many.
inline size_t stage_count(const Model& model) {
  return model.blocks.size() * model.blocks.front().stages.size();
}

// Returns the stage of that index, of a Model or a const Model; all blocks have equally many.
template <typename ModelT>
auto& stage_at(ModelT& model, size_t index) {
  const size_t stages = model.blocks.front().stages.size();
  return model.blocks[index / stages].stages[index % stages];
}

}  // namespace pare
