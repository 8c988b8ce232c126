// Computes per-token figures from logits.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/matrix.h"

namespace pare {

// Figures of one model at one position.
struct TokenScore {
  double nll = 0.0;  // −ln p(target)
  double kl = 0.0;   // KL(first model || this model), nats
  bool top1 = true;  // the most probable token is the first model's
};

// Scores every model at one position. logits[m] (vocab) are model m's; `target` is the token that follows.
// Softmax in f32 with f64 sums. scores[0].kl is 0.
void score_token(std::span<const float* const> logits, int64_t vocab, int32_t target,
                 std::span<TokenScore> scores);

}  // namespace pare
