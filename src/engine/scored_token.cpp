#include "engine/scored_token.h"

#include <algorithm>
#include <numeric>

#include "kernels/log_sum_exp.h"

namespace pare {

ScoredToken score_token(std::span<const float> logits, int32_t id, int64_t top) {
  const auto logit = [&](int32_t token) { return logits[static_cast<size_t>(token)]; };
  const double normaliser = log_sum_exp(logits);
  const auto logprob = [&](int32_t token) { return static_cast<double>(logit(token)) - normaliser; };
  ScoredToken scored = {.id = id, .logprob = logprob(id), .top = {}};
  if (top == 0) return scored;
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + std::min(top, static_cast<int64_t>(order.size()));
  std::partial_sort(order.begin(), end, order.end(), [&](int32_t a, int32_t b) {
    return logit(a) > logit(b) || (logit(a) == logit(b) && a < b);
  });
  std::for_each(order.begin(), end, [&](int32_t token) { scored.top.push_back({token, logprob(token)}); });
  return scored;
}

}  // namespace pare
