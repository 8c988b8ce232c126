#include "engine/batch.h"

#include <gtest/gtest.h>

#include "engine/letters.h"
#include "runtime/forward.h"
#include "support/expect_error.h"
#include "support/tiny_model.h"

namespace pare {
namespace {

constexpr int64_t kContext = 600;

class BatchTest : public testing::Test {
 protected:
  struct Outcome {
    std::string text;
    std::optional<Generation> generation;
    std::optional<ErrorCode> error;
  };

  // A prompt of so many letters, of its own kind.
  static std::vector<int32_t> prompt(int64_t tokens, int64_t kind) {
    std::vector<int32_t> ids;
    for (int64_t t = 0; t < tokens; ++t)
      ids.push_back(static_cast<int32_t>(2 + (kind * 17 + t * 7 + t * t) % 60));
    return ids;
  }
  static GenerateOptions sampled(int64_t max_tokens, uint64_t seed) {
    GenerateOptions options;
    options.max_tokens = max_tokens;
    options.ignore_eos = true;
    options.sampling.temperature = 1.0;
    options.sampling.seed = seed;
    return options;
  }
  static BatchRequest request(std::vector<int32_t> ids, const GenerateOptions& options, Outcome& outcome) {
    BatchRequest r;
    r.prompt = std::move(ids);
    r.options = options;
    r.sink = [&outcome](std::string_view text) {
      outcome.text += text;
      return true;
    };
    r.done = [&outcome](const Generation& generation) { outcome.generation = generation; };
    r.failed = [&outcome](const Error& error) { outcome.error = error.code(); };
    return r;
  }
  static void run(BatchGenerator& batch) {
    while (!batch.idle()) batch.step();
  }
  Outcome alone(std::span<const int32_t> ids, const GenerateOptions& options) const {
    Outcome outcome;
    outcome.generation = Generator(packed_, tokenizer_).generate(ids, options, [&](std::string_view text) {
      outcome.text += text;
      return true;
    });
    return outcome;
  }

  Tokenizer tokenizer_ = test::letter_tokenizer();
  PackedModel packed_{test::make_tiny_model({.vocab = test::kLetters, .max_positions = kContext}),
                      ComputeType::kF32};
};

TEST_F(BatchTest, EverySequenceIsAsItIsAlone) {
  BatchGenerator batch(packed_, tokenizer_, 3, kContext);
  // More than run side by side, of many lengths: some prompts take several steps beside the others.
  const int64_t lengths[] = {1, 5, 400, 2, 130, 33, 7, 300};
  std::vector<Outcome> outcomes(std::size(lengths));
  for (size_t i = 0; i < std::size(lengths); ++i)
    batch.add(request(prompt(lengths[i], static_cast<int64_t>(i)),
                      sampled(8 + 5 * static_cast<int64_t>(i), i), outcomes[i]));
  EXPECT_EQ(batch.unfinished(), 8);
  batch.step();
  EXPECT_EQ(batch.unfinished(), 8);
  run(batch);
  for (size_t i = 0; i < std::size(lengths); ++i) {
    const Outcome expected =
        alone(prompt(lengths[i], static_cast<int64_t>(i)), sampled(8 + 5 * static_cast<int64_t>(i), i));
    ASSERT_TRUE(outcomes[i].generation) << i;
    EXPECT_EQ(outcomes[i].generation->tokens, expected.generation->tokens) << i;
    EXPECT_EQ(outcomes[i].generation->prompt_tokens, lengths[i]) << i;
    EXPECT_EQ(outcomes[i].generation->decode_steps, expected.generation->decode_steps) << i;
    EXPECT_EQ(outcomes[i].text, expected.text) << i;
  }
}

TEST_F(BatchTest, WhatTwoPromptsShareIsWorkedOnOnce) {
  BatchGenerator batch(packed_, tokenizer_, 2, kContext);
  std::vector<int32_t> ids = prompt(50, 0);
  Outcome first;
  batch.add(request(ids, sampled(10, 1), first));
  run(batch);
  // The conversation goes on behind what was generated, whose last token has not been worked on.
  ids.insert(ids.end(), first.generation->tokens.begin(), first.generation->tokens.end());
  const std::vector<int32_t> more = prompt(5, 3);
  ids.insert(ids.end(), more.begin(), more.end());
  Outcome second;
  Outcome other;
  batch.add(request(ids, sampled(10, 2), second));
  batch.add(request(prompt(50, 4), sampled(10, 2), other));
  run(batch);
  EXPECT_EQ(second.generation->prompt_tokens, 6);
  EXPECT_EQ(second.generation->tokens, alone(ids, sampled(10, 2)).generation->tokens);
  EXPECT_EQ(other.generation->prompt_tokens, 50);
  // The same again: all but the last token is there.
  Outcome again;
  batch.add(request(ids, sampled(10, 2), again));
  run(batch);
  EXPECT_EQ(again.generation->prompt_tokens, 1);
  EXPECT_EQ(again.generation->tokens, second.generation->tokens);
}

TEST_F(BatchTest, PromptsAreScoredInPiecesAsInOne) {
  BatchGenerator batch(packed_, tokenizer_, 3, kContext);
  const int64_t lengths[] = {1, 300, 520, 40, 300};
  std::vector<Outcome> outcomes(std::size(lengths));
  std::vector<std::vector<ScoredToken>> scores(std::size(lengths));
  for (size_t i = 0; i < std::size(lengths); ++i) {
    GenerateOptions options = sampled(4, i);
    options.logprobs = 2;
    options.score_prompt = true;
    // The last prompt is in a cache already.
    BatchRequest r = request(prompt(lengths[i], i == 4 ? 1 : static_cast<int64_t>(i)), options, outcomes[i]);
    r.scores = [&scores, i](std::vector<ScoredToken> tokens) {
      scores[i].insert(scores[i].end(), tokens.begin(), tokens.end());
    };
    batch.add(std::move(r));
  }
  run(batch);
  for (size_t i = 0; i < std::size(lengths); ++i) {
    std::vector<int32_t> ids = prompt(lengths[i], i == 4 ? 1 : static_cast<int64_t>(i));
    const auto& tokens = outcomes[i].generation->tokens;
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    ASSERT_EQ(scores[i].size(), ids.size());
    EXPECT_FALSE(scores[i][0].logprob);
    KvCache cache(packed_, static_cast<int64_t>(ids.size()));
    const Matrix<float> logits = logits_of(packed_, forward(packed_, ids, cache));
    for (size_t t = 0; t < ids.size(); ++t) {
      EXPECT_EQ(scores[i][t].id, ids[t]);
      if (t == 0) continue;
      const ScoredToken expected = score_token(
          {logits.row(static_cast<int64_t>(t) - 1), static_cast<size_t>(logits.cols())}, ids[t], 2);
      EXPECT_NEAR(*scores[i][t].logprob, *expected.logprob, 1e-5);
      EXPECT_EQ(scores[i][t].top[0].id, expected.top[0].id);
    }
    EXPECT_EQ(outcomes[i].generation->prompt_tokens, lengths[i]);
  }
}

TEST_F(BatchTest, ScoresDoNotChangeWhatIsChosen) {
  BatchGenerator batch(packed_, tokenizer_, 2, kContext);
  GenerateOptions options = sampled(20, 3);
  options.logprobs = 0;
  options.score_prompt = true;
  Outcome scored;
  BatchRequest r = request(prompt(30, 0), options, scored);
  r.scores = [](const std::vector<ScoredToken>&) {};
  batch.add(std::move(r));
  run(batch);
  EXPECT_EQ(scored.generation->tokens, alone(prompt(30, 0), sampled(20, 3)).generation->tokens);
}

TEST_F(BatchTest, SaysHowFullItIs) {
  BatchGenerator batch(packed_, tokenizer_, 2, 100);
  Outcome outcomes[3];
  for (Outcome& outcome : outcomes) batch.add(request(prompt(50, 0), sampled(10, 0), outcome));
  EXPECT_EQ(batch.running(), 0);
  EXPECT_EQ(batch.fullness(), 0.0);
  batch.step();
  EXPECT_EQ(batch.running(), 2);
  EXPECT_EQ(batch.unfinished(), 3);
  EXPECT_EQ(batch.fullness(), 0.5);
  run(batch);
  EXPECT_EQ(batch.fullness(), 0.0);
}

TEST_F(BatchTest, WhatIsNotWantedAnyMoreEnds) {
  BatchGenerator batch(packed_, tokenizer_, 1, kContext);
  bool wanted[] = {true, true};
  Outcome outcomes[3];
  for (size_t i = 0; i < 3; ++i) {
    BatchRequest r = request(prompt(4, 0), sampled(100, 0), outcomes[i]);
    if (i < 2) r.wanted = [&wanted, i] { return wanted[i]; };
    batch.add(std::move(r));
  }
  for (int i = 0; i < 5; ++i) batch.step();
  wanted[0] = wanted[1] = false;
  run(batch);
  EXPECT_EQ(outcomes[0].generation->finish, FinishReason::kCancelled);
  EXPECT_EQ(outcomes[0].generation->tokens.size(), 5u);
  EXPECT_EQ(outcomes[1].generation->finish, FinishReason::kCancelled);
  EXPECT_TRUE(outcomes[1].generation->tokens.empty());
  EXPECT_EQ(outcomes[2].generation->tokens, alone(prompt(4, 0), sampled(100, 0)).generation->tokens);
}

TEST_F(BatchTest, AFailureEndsTheSequencesOfItsStepOnly) {
  BatchGenerator batch(packed_, tokenizer_, 2, kContext);
  Outcome good;
  Outcome bad;
  Outcome full;
  Outcome later;
  batch.add(request(prompt(4, 0), sampled(100, 0), good));
  batch.add(request({3, test::kLetters}, sampled(100, 0), bad));
  batch.add(request(prompt(kContext, 0), sampled(1, 0), full));
  batch.add(request(prompt(4, 0), sampled(9, 0), later));
  run(batch);
  EXPECT_EQ(good.error, ErrorCode::kInvalid);
  EXPECT_EQ(bad.error, ErrorCode::kInvalid);
  EXPECT_EQ(full.error, ErrorCode::kInvalid);
  EXPECT_FALSE(full.generation);
  EXPECT_EQ(later.generation->tokens, alone(prompt(4, 0), sampled(9, 0)).generation->tokens);
}

TEST_F(BatchTest, AnswersEndWhereTheContextIsFull) {
  BatchGenerator batch(packed_, tokenizer_, 1, 20);
  EXPECT_EQ(batch.context(), 20);
  Outcome outcome;
  batch.add(request(prompt(8, 0), sampled(100, 0), outcome));
  run(batch);
  EXPECT_EQ(outcome.generation->tokens.size(), 12u);
  EXPECT_EQ(outcome.generation->finish, FinishReason::kLength);
}

TEST_F(BatchTest, RefusesLimitsBelowOne) {
  EXPECT_PARE_ERROR(BatchGenerator(packed_, tokenizer_, 0, 8), ErrorCode::kUsage, "`parallel` is 0");
  EXPECT_PARE_ERROR(BatchGenerator(packed_, tokenizer_, 1, 0), ErrorCode::kUsage, "`context` is 0");
}

}  // namespace
}  // namespace pare
