// One linear made sparse: mask and values by the method that the options name.
#pragma once

#include "compress/solve/input_gram.h"
#include "compress/solve/mask.h"
#include "compress/sparsify/scores.h"

namespace pare {

// What the kept weights become.
enum class WeightUpdate {
  kNone,   // they stay as they are
  kObs,    // each takes over what columns before it lost (SparseGPT's update)
  kRefit,  // the best values for the mask: least squares with the damped Gram matrix
};

struct PruneOptions {
  Pattern pattern = k2of4;
  ScoreOptions score;
  WeightUpdate update = WeightUpdate::kNone;
  int64_t swap_rounds = 0;  // exchanges inside groups while the layer error falls, each round with its update
};

// Whether the options leave the weights that stay as they are.
bool keeps_weights(const PruneOptions& options);

// Rows of a linear and what they should do: minimise tr((V − target)·H·(V − target)ᵀ) over sparse V.
struct LinearProblem {
  MatrixView<const double> weight;  // (rows, in), as the model has it
  MatrixView<const double> target;  // (rows, in), dense: `weight`, or what makes up for earlier errors
  InputGram& gram;
  const ChannelStatistics& statistics;
};

// Scores (rows, in) of the method, or, for those that update while they choose, W²·H_jj: what a weight adds
// to the output on its own.
Matrix<double> prune_scores(MatrixView<const double> weight, const ChannelStatistics& statistics,
                            const PruneOptions& options);

struct SparseRows {
  Mask mask;
  Matrix<double> values;     // (rows, in), +0 where the mask deletes
  double kept_score = 0.0;   // what stays of
  double total_score = 0.0;  // the sum of the method's scores (others: of Σ W²·H_jj)
};

SparseRows prune(const LinearProblem& problem, const PruneOptions& options);

}  // namespace pare
