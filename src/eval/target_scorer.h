// Scores the tokens that follow by hidden states: their log-likelihood.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/packed_model.h"

namespace pare {

struct Loglikelihood {
  double sum = 0.0;    // ln p of all targets, nats
  bool greedy = true;  // each target is the most probable token
};

// A token that a row of hidden states predicts, and the score it adds to.
struct Target {
  int64_t row = 0;
  int32_t token = 0;
  Loglikelihood* score = nullptr;
};

// Scores targets, sorted by row; only logits of rows with one are computed. hidden (tokens, width read by
// the head).
void score_targets(const PackedModel& model, const Activation& hidden, std::span<const Target> targets);

}  // namespace pare
