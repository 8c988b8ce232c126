// One linear made sparse: mask and values by the method that the options name.
#pragma once

#include "compress/solve/input_gram.h"
#include "compress/solve/mask.h"
#include "compress/sparsify/scores.h"

namespace pare {

// Change of the kept weights.
enum class WeightUpdate {
  kNone,   // weights stay as they are
  kObs,    // each weight takes over what columns before it lost (SparseGPT's update)
  kRefit,  // weights get the best values for the mask: least squares with the damped Gram matrix
};

struct PruneOptions {
  Pattern pattern = k2of4;
  ScoreOptions score;
  WeightUpdate update = WeightUpdate::kNone;
  int64_t swap_rounds = 0;  // exchanges inside groups while the layer error falls, each round with its update
};

// Returns the update that the method makes: sparsegpt and alps update weights without being asked.
WeightUpdate effective_update(const PruneOptions& options);
// Returns whether the options leave the weights that stay as they are.
bool keeps_weights(const PruneOptions& options);

// Rows of a linear and their target: minimise tr((V − target)·H·(V − target)ᵀ) over sparse V.
struct LinearProblem {
  MatrixView<const double> weight;  // (rows, in), as the model has it
  MatrixView<const double> target;  // (rows, in), dense: `weight`, or one that makes up for earlier errors
  InputGram& gram;
  const ChannelStatistics& statistics;
};

// Returns scores (rows, in) of the method, or, if it updates while it chooses, W²·H_jj: what a weight adds
// to the output on its own.
Matrix<double> prune_scores(MatrixView<const double> weight, const ChannelStatistics& statistics,
                            const PruneOptions& options);

struct SparseRows {
  Mask mask;
  Matrix<double> values;     // (rows, in), +0 where the mask deletes
  double kept_score = 0.0;   // part of `total_score` that stays
  double total_score = 0.0;  // sum of the method's scores (others: of Σ W²·H_jj)
};

SparseRows prune(const LinearProblem& problem, const PruneOptions& options);

}  // namespace pare
