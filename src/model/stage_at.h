// Stages of a model by one index.
#pragma once

#include "model/model.h"

namespace pare {

// Returns the number of stages of a model; all blocks have equally many.
inline size_t stage_count(const Model& model) {
  return model.blocks.size() * model.blocks.front().stages.size();
}

// Returns the block of the stage of that index.
inline int64_t block_of_stage(const Model& model, size_t index) {
  return static_cast<int64_t>(index / model.blocks.front().stages.size());
}

// Returns the stage of that index, of a Model or a const Model; all blocks have equally many.
template <typename ModelT>
auto& stage_at(ModelT& model, size_t index) {
  const size_t stages = model.blocks.front().stages.size();
  return model.blocks[index / stages].stages[index % stages];
}

}  // namespace pare
