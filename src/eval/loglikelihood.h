// Log-likelihoods of continuations, many at once.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "eval/request_tokens.h"
#include "eval/target_scorer.h"
#include "runtime/packed_model.h"

namespace pare {

// Sequences that are scored together: their common start is computed once.
using SequenceGroup = std::vector<ScoredSequence>;

struct GroupScores {
  std::vector<std::vector<Loglikelihood>> groups;  // in the order of the arguments
  int64_t tokens = 0;                              // tokens that went through the model
};

// Called after each batch with the number of groups done and the number of all.
using ScoreProgress = std::function<void(int64_t done, int64_t total)>;

// Most memory for keys and values of sequences that are worked on together.
inline constexpr int64_t kScoreCacheBytes = int64_t{256} << 20;

// Scores groups. Every sequence is at most one token longer than the context, its ids are in the vocabulary
// (tokenize_request). Throws kNumeric as forward_batch does.
GroupScores score_groups(const PackedModel& model, std::span<const SequenceGroup> groups,
                         const ScoreProgress& progress = {}, int64_t cache_bytes = kScoreCacheBytes);

}  // namespace pare
