// Probability of a token, and of those that might have stood in its place.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace pare {

struct TokenLogprob {
  int32_t id = 0;
  double logprob = 0.0;  // nats
};

struct ScoredToken {
  int32_t id = 0;
  std::optional<double> logprob;  // nats; nothing for the first token of a sequence
  std::vector<TokenLogprob> top;  // the most probable tokens of this place, the best first, equal ones by id
};

// Receives tokens as they are scored, in order.
using ScoreSink = std::function<void(std::vector<ScoredToken>)>;

// Scores a token and the `top` most probable ones by the model's own distribution, the softmax of logits
// (vocab), before any sampling option. A larger `top` than there are tokens means all.
ScoredToken score_token(std::span<const float> logits, int32_t id, int64_t top);

}  // namespace pare
