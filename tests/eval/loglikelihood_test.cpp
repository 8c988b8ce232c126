#include "eval/loglikelihood.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "runtime/forward.h"
#include "support/tiny_model.h"

namespace pare {
namespace {

constexpr int64_t kVocab = 64;

PackedModel tiny(test::TinyModelOptions options = {}) {
  options.vocab = kVocab;
  return {test::make_tiny_model(options), ComputeType::kF32};
}

// By the definition: one pass over each sequence alone, softmax in f64.
Loglikelihood by_definition(const PackedModel& model, const ScoredSequence& sequence) {
  const auto inputs = static_cast<int64_t>(sequence.ids.size()) - 1;
  KvCache cache(model, inputs);
  const std::span ids = std::span(sequence.ids).first(static_cast<size_t>(inputs));
  const Matrix<float> logits = logits_of(model, forward(model, ids, cache));
  Loglikelihood result;
  for (int64_t p = inputs - sequence.targets; p < inputs; ++p) {
    const int32_t target = sequence.ids[static_cast<size_t>(p) + 1];
    double sum = 0.0;
    for (int64_t c = 0; c < kVocab; ++c) sum += std::exp(static_cast<double>(logits(p, c)));
    result.sum += static_cast<double>(logits(p, target)) - std::log(sum);
    result.greedy =
        result.greedy && std::max_element(logits.row(p), logits.row(p) + kVocab) == logits.row(p) + target;
  }
  return result;
}

std::vector<int32_t> random_ids(Rng& rng, int64_t count) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(rng.below(kVocab)));
  return ids;
}

// Sequences with a beginning of `shared` ids and ends of the given lengths, of which up to `targets` are
// scored.
SequenceGroup group(Rng& rng, int64_t shared, const std::vector<int64_t>& ends, int64_t targets) {
  const std::vector<int32_t> beginning = random_ids(rng, shared);
  SequenceGroup result;
  for (const int64_t end : ends) {
    ScoredSequence sequence{beginning, std::min(targets, shared + end - 1)};
    const auto rest = random_ids(rng, end);
    sequence.ids.insert(sequence.ids.end(), rest.begin(), rest.end());
    result.push_back(std::move(sequence));
  }
  return result;
}

std::vector<SequenceGroup> all_shapes() {
  Rng rng(7);
  std::vector<SequenceGroup> groups = {
      group(rng, 10, {5, 7, 3, 9}, 3),   // choices behind a context
      group(rng, 10, {1, 1, 1}, 1),      // of one token
      group(rng, 12, {1, 4}, 1),         // one ends where they part
      group(rng, 20, {8, 8}, 4),         // contexts that differ before what is scored
      group(rng, 6, {4, 4}, 7),          // targets inside what is shared
      group(rng, 0, {5, 6}, 2),          // nothing shared
      group(rng, 30, {4}, 4),            // one sequence
      group(rng, 1, {1}, 1),             // the shortest there is
      group(rng, 128, {1, 1}, 1),        // as long as the model allows
      group(rng, 9, {3, 3, 3, 3, 3}, 3)  // more choices than others
  };
  groups.push_back({groups[0][0], groups[0][0]});  // equal sequences
  for (int i = 0; i < 12; ++i) groups.push_back(group(rng, 60, {20, 30}, 10));
  return groups;
}

// Sums of up to ten logarithms near 5, each from f32 logits (a few ulp of 16) and an f32 softmax.
constexpr double kTolerance = 1e-4;

void expect_definition(const PackedModel& model, int64_t cache_bytes) {
  const std::vector<SequenceGroup> groups = all_shapes();
  const GroupScores scores = score_groups(model, groups, {}, cache_bytes);
  ASSERT_EQ(scores.groups.size(), groups.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    ASSERT_EQ(scores.groups[g].size(), groups[g].size());
    for (size_t s = 0; s < groups[g].size(); ++s) {
      const Loglikelihood expected = by_definition(model, groups[g][s]);
      EXPECT_NEAR(scores.groups[g][s].sum, expected.sum, kTolerance) << "group " << g << ", sequence " << s;
      EXPECT_EQ(scores.groups[g][s].greedy, expected.greedy) << "group " << g << ", sequence " << s;
    }
  }
}

TEST(Loglikelihood, MatchesOneSequenceAtATime) {
  const PackedModel model = tiny();
  for (const int64_t cache_bytes : {kScoreCacheBytes, int64_t{1}, int64_t{100} * 512})
    expect_definition(model, cache_bytes);
}

TEST(Loglikelihood, MatchesForEveryDesignOfBlocks) {
  expect_definition(tiny(test::opt_like()), kScoreCacheBytes);
  expect_definition(tiny(test::phi_like()), kScoreCacheBytes);
}

TEST(Loglikelihood, FindsGreedyContinuations) {
  const PackedModel model = tiny();
  Rng rng(3);
  ScoredSequence greedy{random_ids(rng, 6), 4};
  for (int i = 0; i < 4; ++i) {
    KvCache cache(model, 10);
    const Matrix<float> logits = logits_of(model, forward(model, greedy.ids, cache));
    const float* last = logits.row(logits.rows() - 1);
    greedy.ids.push_back(static_cast<int32_t>(std::max_element(last, last + kVocab) - last));
  }
  ScoredSequence other = greedy;
  other.ids[7] = (other.ids[7] + 1) % kVocab;
  const std::vector<SequenceGroup> groups = {{greedy}, {other}};
  const GroupScores scores = score_groups(model, groups);
  EXPECT_TRUE(scores.groups[0][0].greedy);
  EXPECT_FALSE(scores.groups[1][0].greedy);
}

TEST(Loglikelihood, WhatIsSharedRunsOnce) {
  const PackedModel model = tiny();
  Rng rng(5);
  SequenceGroup choices;
  const std::vector<int32_t> context = random_ids(rng, 10);
  for (const int32_t first : {1, 2, 3}) {
    ScoredSequence sequence{context, 3};
    sequence.ids.insert(sequence.ids.end(), {first, 4, 5});
    choices.push_back(sequence);
  }
  const std::vector<SequenceGroup> one = {choices};
  EXPECT_EQ(score_groups(model, one).tokens, 10 + 3 * 2);
  for (ScoredSequence& sequence : choices) {
    sequence.ids.resize(11);
    sequence.targets = 1;
  }
  const std::vector<SequenceGroup> single_tokens = {choices};
  EXPECT_EQ(score_groups(model, single_tokens).tokens, 10);
}

TEST(Loglikelihood, ReportsProgress) {
  const PackedModel model = tiny();
  const std::vector<SequenceGroup> groups = all_shapes();
  std::vector<int64_t> seen;
  score_groups(
      model, groups,
      [&](int64_t done, int64_t total) {
        EXPECT_EQ(total, static_cast<int64_t>(groups.size()));
        seen.push_back(done);
      },
      1);
  EXPECT_EQ(seen.size(), groups.size());
  EXPECT_EQ(seen.back(), static_cast<int64_t>(groups.size()));
}

}  // namespace
}  // namespace pare
