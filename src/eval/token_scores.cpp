#include "eval/token_scores.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/vector_ops.h"

namespace pare {
namespace {

// Vector operations sum in f32: short pieces, added in f64, keep the error of a whole vocabulary small.
constexpr int64_t kPiece = 1024;

template <typename Body>
double sum_pieces(int64_t n, Body&& body) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; i += kPiece) sum += static_cast<double>(body(i, std::min(kPiece, n - i)));
  return sum;
}

// Replaces logits by their exponentials, divided by e^max; returns the sum of these.
double exp_sum(float* logits, int64_t n, float max) {
  const VectorOps& ops = vector_ops();
  return sum_pieces(n, [&](int64_t i, int64_t count) { return ops.exp_sum(logits + i, max, count); });
}

}  // namespace

double log_sum_exp(std::span<float> logits, float max) {
  return static_cast<double>(max) +
         std::log(exp_sum(logits.data(), static_cast<int64_t>(logits.size()), max));
}

void score_token(std::span<const float* const> logits, int64_t vocab, int32_t target,
                 std::span<TokenScore> scores) {
  const VectorOps& ops = vector_ops();
  std::vector<float> first_exp(static_cast<size_t>(vocab));  // exp(logits of the first − max)
  std::vector<float> scratch(static_cast<size_t>(vocab));
  double first_sum = 0.0;
  double first_log_sum = 0.0;
  int64_t first_best = 0;
  for (size_t m = 0; m < logits.size(); ++m) {
    const float* row = logits[m];
    const float max = ops.max(row, vocab);
    std::vector<float>& exps = m == 0 ? first_exp : scratch;
    std::copy_n(row, vocab, exps.data());
    const double sum = exp_sum(exps.data(), vocab, max);
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
    const double gap = sum_pieces(
        vocab, [&](int64_t i, int64_t n) { return ops.dot(first_exp.data() + i, scratch.data() + i, n); });
    scores[m].kl = gap / first_sum - first_log_sum + log_sum;
    scores[m].top1 = std::find(row, row + vocab, max) - row == first_best;
  }
}

}  // namespace pare
