#include "eval/token_scores.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/vector_ops.h"
#include "kernels/log_sum_exp.h"

namespace pare {

void score_token(std::span<const float* const> logits, int64_t vocab, int32_t target,
                 std::span<TokenScore> scores) {
  const VectorOps& ops = vector_ops();
  std::vector<float> first_exp(static_cast<size_t>(vocab));  // exp(logits of the first model − max)
  std::vector<float> scratch(static_cast<size_t>(vocab));
  double first_sum = 0.0;
  double first_log_sum = 0.0;
  int64_t first_best = 0;
  for (size_t m = 0; m < logits.size(); ++m) {
    const float* row = logits[m];
    const float max = ops.max(row, vocab);
    std::vector<float>& exps = m == 0 ? first_exp : scratch;
    std::copy_n(row, vocab, exps.data());
    const double sum = exp_sum(exps, max);
    const double log_sum = static_cast<double>(max) + std::log(sum);
    scores[m] = {};
    scores[m].nll = log_sum - static_cast<double>(row[target]);
    if (m == 0) {
      first_sum = sum;
      first_log_sum = log_sum;
      first_best = std::find(row, row + vocab, max) - row;
      continue;
    }
    // KL = Σ p (a − b) − ln Σe^a + ln Σe^b, with a the first model's logits and b this one's.
    std::copy_n(logits[0], vocab, scratch.data());
    ops.axpy(-1.0f, row, scratch.data(), vocab);
    double gap = 0.0;
    for (int64_t i = 0; i < vocab; i += kSumPiece)
      gap += static_cast<double>(
          ops.dot(first_exp.data() + i, scratch.data() + i, std::min(kSumPiece, vocab - i)));
    scores[m].kl = gap / first_sum - first_log_sum + log_sum;
    scores[m].top1 = std::find(row, row + vocab, max) - row == first_best;
  }
}

}  // namespace pare
