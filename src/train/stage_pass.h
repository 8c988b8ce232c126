// The forward and the backward pass of one stage over sequences, for its output's distance from a target.
#pragma once

#include <span>

#include "kernels/linear.h"
#include "train/parameters.h"

namespace pare {

// Returns a model that consists of one stage of a model with this configuration.
Model model_of_stage(const Stage& stage, const ModelConfig& config);

// Rows that a stage reads, and what it should give, for whole sequences of one length.
struct StageBatch {
  MatrixView<const float> input;   // (sequences · length, width in)
  MatrixView<const float> target;  // (sequences · length, width out)
  int64_t length = 0;
};

// Returns Σ (y − target)² over rows and columns of the stage's output y. Throws kNumeric when it is not
// finite.
double stage_loss(const Model& one_stage, const StageBatch& batch, ComputeType compute);
// Returns the same, and adds its gradient times `scale` to `gradient`, an array of `layout`.
double stage_gradient(const Model& one_stage, const StageBatch& batch, ComputeType compute, double scale,
                      const Parameters& layout, std::span<float> gradient);

}  // namespace pare
