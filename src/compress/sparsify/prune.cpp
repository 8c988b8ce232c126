#include "compress/sparsify/prune.h"

#include "base/parallel.h"
#include "compress/solve/refine.h"
#include "linalg/linalg.h"

namespace pare {
namespace {

bool updates_while_choosing(SparseMethod method) {
  return method == SparseMethod::kSparseGpt || method == SparseMethod::kAlps;
}

void sum_scores(const Matrix<double>& scores, SparseRows& rows) {
  for (int64_t r = 0; r < scores.rows(); ++r)
    for (int64_t c = 0; c < scores.cols(); ++c) {
      rows.total_score += scores(r, c);
      if (rows.mask.keeps(r, c)) rows.kept_score += scores(r, c);
    }
}

void update(const LinearProblem& problem, WeightUpdate how, const Mask& mask, Matrix<double>& values) {
  if (how == WeightUpdate::kNone) {
    values = copy_of(problem.weight);
  } else {
    values = copy_of(problem.target);
    obs_update(problem.gram.obs(), mask, values);
    if (how == WeightUpdate::kRefit) refit(problem.target, problem.gram, mask, values);
  }
  apply_mask(mask, values.view());
}

}  // namespace

WeightUpdate effective_update(const PruneOptions& options) {
  if (options.score.method == SparseMethod::kAlps) return WeightUpdate::kRefit;
  if (options.score.method == SparseMethod::kSparseGpt && options.update == WeightUpdate::kNone)
    return WeightUpdate::kObs;
  return options.update;
}

bool keeps_weights(const PruneOptions& options) { return effective_update(options) == WeightUpdate::kNone; }

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

SparseRows prune(const LinearProblem& problem, const PruneOptions& options) {
  const SparseMethod method = options.score.method;
  Matrix<double> values = copy_of(problem.target);
  const Matrix<double> scores = prune_scores(problem.weight, problem.statistics, options);
  Mask mask(options.pattern, 0, 0);
  if (method == SparseMethod::kSparseGpt) {
    mask = sparsegpt(problem.gram.obs(), options.pattern, values);
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
  SparseRows rows = {std::move(mask), std::move(values)};
  sum_scores(scores, rows);
  return rows;
}

}  // namespace pare
