#include "eval/token_scores.h"

#include <algorithm>

#include "kernels/cpu/vector_ops.h"
#include "kernels/log_sum_exp.h"

namespace pare {

void score_token(std::span<const float* const> logits, int64_t vocab, int32_t target,
                 std::span<TokenScore> scores) {
  const auto row_of = [&](size_t model) {
    return std::span<const float>(logits[model], static_cast<size_t>(vocab));
  };
  const auto best_of = [&](std::span<const float> row) {
    return std::find(row.begin(), row.end(), vector_ops().max(row.data(), vocab)) - row.begin();
  };
  const ReferenceRow first(row_of(0));
  const int64_t first_best = best_of(row_of(0));
  for (size_t m = 0; m < logits.size(); ++m) {
    const std::span<const float> row = row_of(m);
    const double log_sum = m == 0 ? first.log_sum() : log_sum_exp(row);
    scores[m].nll = log_sum - static_cast<double>(row[static_cast<size_t>(target)]);
    scores[m].kl = m == 0 ? 0.0 : first.kl(row, log_sum);
    scores[m].top1 = m == 0 || best_of(row) == first_best;
  }
}

}  // namespace pare
