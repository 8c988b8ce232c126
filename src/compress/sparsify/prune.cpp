#include "compress/sparsify/prune.h"

#include "base/parallel.h"
#include "compress/sparsify/refine.h"
#include "linalg/linalg.h"

namespace pare {
namespace {

bool updates_while_choosing(SparseMethod method) {
  return method == SparseMethod::kSparseGpt || method == SparseMethod::kAlps;
}

double kept_share(const Matrix<double>& scores, const Mask& mask) {
  double kept = 0.0;
  double all = 0.0;
  for (int64_t r = 0; r < scores.rows(); ++r)
    for (int64_t c = 0; c < scores.cols(); ++c) {
      all += scores(r, c);
      if (mask.keeps(r, c)) kept += scores(r, c);
    }
  return all > 0.0 ? kept / all : 1.0;
}

void update(const LinearProblem& problem, WeightUpdate how, const Mask& mask, Matrix<double>& values) {
  if (how == WeightUpdate::kNone) {
    values = copy_of(problem.weight);
  } else {
    values = copy_of(problem.target);
    obs_update(*problem.factor, mask, values);
    if (how == WeightUpdate::kRefit) refit(problem.target, problem.gram, mask, values);
  }
  apply_mask(mask, values.view());
}

}  // namespace

bool keeps_weights(const PruneOptions& options) {
  return options.update == WeightUpdate::kNone && !updates_while_choosing(options.score.method);
}

Matrix<double> prune_scores(MatrixView<const double> weight, const ChannelStatistics& statistics,
                            const PruneOptions& options) {
  if (!updates_while_choosing(options.score.method)) return weight_scores(weight, statistics, options.score);
  Matrix<double> scores(weight.rows, weight.cols);
  parallel_for(scores.rows(), [&](int64_t r) {
    for (int64_t c = 0; c < scores.cols(); ++c)
      scores(r, c) = weight(r, c) * weight(r, c) * statistics.square_sums[static_cast<size_t>(c)];
  });
  return scores;
}

bool needs_factor(const PruneOptions& options) {
  return options.update != WeightUpdate::kNone || options.score.method == SparseMethod::kSparseGpt;
}

SparseLinear prune(const LinearProblem& problem, const PruneOptions& options) {
  const SparseMethod method = options.score.method;
  Matrix<double> values = copy_of(problem.target);
  const Matrix<double> scores = prune_scores(problem.weight, problem.statistics, options);
  Mask mask(options.pattern, 0, 0);
  if (method == SparseMethod::kSparseGpt) {
    mask = sparsegpt(*problem.factor, options.pattern, values);
    if (options.update == WeightUpdate::kRefit) refit(problem.target, problem.gram, mask, values);
  } else if (method == SparseMethod::kAlps) {
    mask = alps(problem.target, problem.gram, options.pattern, values);
    refit(problem.target, problem.gram, mask, values);
  } else {
    mask = best_mask(scores.view(), options.pattern);
    if (options.swap_rounds > 0 && options.update == WeightUpdate::kNone)
      swap_refine(problem.weight, problem.target, problem.gram, mask);
    update(problem, options.update, mask, values);
  }
  if (!keeps_weights(options)) {
    for (int64_t round = 0; round < options.swap_rounds; ++round) {
      if (swap_refine_free(problem.target, problem.gram, mask, values) == 0) break;
      refit(problem.target, problem.gram, mask, values);
    }
  }
  apply_mask(mask, values.view());
  const double kept = kept_share(scores, mask);
  return {std::move(mask), std::move(values), kept};
}

}  // namespace pare
