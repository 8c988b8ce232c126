// Comparing what models compute without having two of them in memory.
#pragma once

#include <functional>
#include <span>

#include "model/model.h"
#include "model/visit.h"

namespace pare {

// Returns the replacement of a matrix, or of some rows of the embedding or head.
using WeightEdit = std::function<Weight(const TensorPlace& place, const Weight& weight)>;

// Returns the replacement of a stage.
using StageEdit = std::function<Stage(const Stage& stage)>;

// Returns logits (tokens, vocab) with f32 products. Only one stage, or some rows of the head, is packed at a
// time: for models that do not fit otherwise. Products do not differ from those of a PackedModel.
Matrix<float> streamed_logits(const Model& model, std::span<const int32_t> tokens,
                              const WeightEdit& edit = {}, const StageEdit& stage_edit = {});

// max |a − b| / max |a|, NaN when there is one; shapes must agree.
double relative_difference(MatrixView<const float> a, MatrixView<const float> b);

}  // namespace pare
