#include "eval/target_scorer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "kernels/cpu/vector_ops.h"
#include "kernels/log_sum_exp.h"
#include "runtime/forward.h"

namespace pare {
namespace {

constexpr size_t kRowsPerPiece = 128;  // positions whose logits exist at once

// The targets of one row.
using RowTargets = std::span<const Target>;

std::vector<RowTargets> by_row(std::span<const Target> targets) {
  std::vector<RowTargets> rows;
  while (!targets.empty()) {
    const auto next = std::find_if(targets.begin(), targets.end(),
                                   [&](const Target& target) { return target.row != targets.front().row; });
    rows.push_back(targets.first(static_cast<size_t>(next - targets.begin())));
    targets = targets.subspan(rows.back().size());
  }
  return rows;
}

// Computes ln p of each target of a row, given its logits.
void score_row(RowTargets targets, std::span<const float> logits, Loglikelihood* scores) {
  const float max = vector_ops().max(logits.data(), static_cast<int64_t>(logits.size()));
  const double log_sum = log_sum_exp(logits);
  for (size_t t = 0; t < targets.size(); ++t) {
    const auto token = logits.begin() + targets[t].token;
    scores[t].sum = static_cast<double>(*token) - log_sum;
    scores[t].greedy = *token == max && std::find(logits.begin(), token, max) == token;
  }
}

void score_piece(const PackedModel& model, const Activation& hidden, std::span<const RowTargets> rows) {
  const auto count = static_cast<int64_t>(rows.size());
  std::vector<int64_t> read;
  std::vector<std::vector<Loglikelihood>> scores;
  for (int64_t r = 0; r < count; ++r) {
    const RowTargets targets = rows[static_cast<size_t>(r)];
    read.push_back(targets.front().row);
    scores.emplace_back(targets.size());
  }
  const Matrix<float> logits = logits_of(model, pick_rows(hidden, read));
  parallel_for(count, [&](int64_t r) {
    score_row(rows[static_cast<size_t>(r)], {logits.row(r), static_cast<size_t>(logits.cols())},
              scores[static_cast<size_t>(r)].data());
  });
  for (size_t r = 0; r < rows.size(); ++r)
    for (size_t t = 0; t < rows[r].size(); ++t) {
      Loglikelihood& score = *rows[r][t].score;
      score.sum += scores[r][t].sum;
      score.greedy = score.greedy && scores[r][t].greedy;
    }
}

}  // namespace

void score_targets(const PackedModel& model, const Activation& hidden, std::span<const Target> targets) {
  const std::vector<RowTargets> rows = by_row(targets);
  for (size_t first = 0; first < rows.size(); first += kRowsPerPiece)
    score_piece(model, hidden, std::span(rows).subspan(first, std::min(kRowsPerPiece, rows.size() - first)));
}

}  // namespace pare
