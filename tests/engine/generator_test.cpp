#include "engine/generator.h"

#include <algorithm>
#include <optional>

#include "engine/letters.h"
#include "engine/model_defaults.h"
#include "runtime/forward.h"
#include "support/byte_tokenizer.h"
#include "support/expect_error.h"
#include "support/tiny_model.h"

namespace pare {
namespace {

constexpr int64_t kVocab = test::kLetters;

class GeneratorTest : public testing::Test {
 protected:
  GeneratorTest() : tokenizer_(test::letter_tokenizer()) { options_.max_tokens = 24; }

  struct Outcome {
    Generation generation;
    std::string text;
  };
  Outcome generate(const Model& model, std::span<const int32_t> prompt) const {
    const PackedModel packed(model, ComputeType::kF32);
    Outcome outcome;
    const auto sink = [&](std::string_view piece) {
      outcome.text += piece;
      return true;
    };
    outcome.generation = Generator(packed, tokenizer_).generate(prompt, options_, sink);
    return outcome;
  }
  std::string text_of(std::span<const int32_t> ids) const {
    return tokenizer_.decode({ids.begin(), ids.end()});
  }

  Tokenizer tokenizer_;
  Model model_ = test::make_tiny_model({.vocab = kVocab});
  GenerateOptions options_;
  const std::vector<int32_t> prompt_ = {0, 7, 21, 9};
};

TEST_F(GeneratorTest, GreedyIsTheArgmaxOfTheWholeSequenceEachTime) {
  options_.ignore_eos = true;
  const Outcome outcome = generate(model_, prompt_);
  const PackedModel packed(model_, ComputeType::kF32);
  std::vector<int32_t> sequence = prompt_;
  for (int64_t t = 0; t < options_.max_tokens; ++t) {
    KvCache cache(packed, static_cast<int64_t>(sequence.size()));
    const Activation hidden = forward(packed, sequence, cache);
    const Matrix<float> logits = logits_of(packed, hidden.rows_of(hidden.rows() - 1, 1));
    sequence.push_back(
        static_cast<int32_t>(std::max_element(logits.data(), logits.data() + kVocab) - logits.data()));
  }
  EXPECT_EQ(outcome.generation.tokens, std::vector<int32_t>(sequence.begin() + 4, sequence.end()));
  EXPECT_EQ(outcome.text, text_of(outcome.generation.tokens));
  EXPECT_EQ(outcome.generation.finish, FinishReason::kLength);
  EXPECT_EQ(outcome.generation.prompt_tokens, 4);
  EXPECT_EQ(outcome.generation.decode_steps, options_.max_tokens - 1);
}

TEST_F(GeneratorTest, SamplingRepeatsWithItsSeedAndVariesWithout) {
  options_.sampling.temperature = 1.0;
  options_.sampling.seed = 5;
  const auto first = generate(model_, prompt_).generation.tokens;
  EXPECT_EQ(generate(model_, prompt_).generation.tokens, first);
  options_.sampling.seed = 6;
  EXPECT_NE(generate(model_, prompt_).generation.tokens, first);
}

TEST_F(GeneratorTest, StopsInsideATextThatSpansTokens) {
  options_.ignore_eos = true;
  const Outcome whole = generate(model_, prompt_);
  ASSERT_GE(whole.text.size(), 10u);
  // Every token is one character, so this stop spans three tokens.
  options_.stop = {whole.text.substr(6, 3)};
  const size_t cut = whole.text.find(options_.stop[0]);
  const Outcome stopped = generate(model_, prompt_);
  EXPECT_EQ(stopped.text, whole.text.substr(0, cut));
  EXPECT_EQ(stopped.generation.finish, FinishReason::kStop);
}

TEST_F(GeneratorTest, EndsAtTheEosTokenUnlessToldToIgnoreIt) {
  options_.ignore_eos = true;
  const std::vector<int32_t> whole = generate(model_, prompt_).generation.tokens;
  model_.config.eos = {1, whole[5]};
  const auto end = std::find(whole.begin(), whole.end(), whole[5]);
  EXPECT_EQ(generate(model_, prompt_).generation.tokens, whole);
  options_.ignore_eos = false;
  const Outcome outcome = generate(model_, prompt_);
  EXPECT_EQ(outcome.generation.tokens, std::vector<int32_t>(whole.begin(), end));
  EXPECT_EQ(outcome.text, text_of(outcome.generation.tokens));
  EXPECT_EQ(outcome.generation.finish, FinishReason::kEos);
}

TEST_F(GeneratorTest, EndsAreLeftOutWhereTheyAreIgnored) {
  GenerateOptions defaults;
  defaults.stop_ids = {3};  // of the tokenizer
  GenerationChoice choice;
  EXPECT_EQ(choice.over(defaults).stop_ids, std::vector<int32_t>{3});
  EXPECT_FALSE(choice.over(defaults).ignore_eos);
  choice.ignore_eos = true;
  EXPECT_TRUE(choice.over(defaults).stop_ids.empty());
  EXPECT_TRUE(choice.over(defaults).ignore_eos);
}

// A text that the limit cuts inside a character ends in U+FFFD.
TEST_F(GeneratorTest, AnUnfinishedCharacterIsShown) {
  tokenizer_ = test::byte_tokenizer();
  options_.ignore_eos = true;
  options_.max_tokens = 1;
  options_.sampling.logit_bias = {{0xF0, 1000.0f}};
  EXPECT_EQ(generate(test::make_tiny_model({.vocab = 256}), prompt_).text, "\uFFFD");
  options_.stop = {"x"};
  EXPECT_EQ(generate(test::make_tiny_model({.vocab = 256}), prompt_).text, "\uFFFD");
}

TEST_F(GeneratorTest, NothingEndsItBeforeTheLeastNumberOfTokens) {
  options_.ignore_eos = true;
  const Outcome whole = generate(model_, prompt_);
  const std::vector<int32_t> tokens = whole.generation.tokens;
  options_.stop_ids = {tokens[2]};
  EXPECT_EQ(generate(model_, prompt_).generation.finish, FinishReason::kEos);
  EXPECT_LE(generate(model_, prompt_).generation.tokens.size(), 2u);
  // Another token takes the place of the one that would end it.
  options_.min_tokens = 6;
  const Outcome forced = generate(model_, prompt_);
  EXPECT_GE(forced.generation.tokens.size(), 6u);
  EXPECT_EQ(std::count(forced.generation.tokens.begin(), forced.generation.tokens.begin() + 6, tokens[2]), 0);
  // A text to stop at is passed over as well.
  options_.stop_ids.clear();
  options_.stop = {whole.text.substr(1, 1)};
  options_.min_tokens = 2;
  EXPECT_TRUE(generate(model_, prompt_).text.starts_with(whole.text.substr(0, 2)));
}

TEST_F(GeneratorTest, NoTokensAreThePromptAlone) {
  options_.max_tokens = 0;
  const Outcome outcome = generate(model_, prompt_);
  EXPECT_TRUE(outcome.generation.tokens.empty());
  EXPECT_EQ(outcome.generation.finish, FinishReason::kLength);
  EXPECT_EQ(outcome.generation.prompt_tokens, 4);
}

TEST_F(GeneratorTest, EndsWhereTheContextIsFull) {
  options_.ignore_eos = true;
  options_.max_tokens = 1000;
  model_.config.max_positions = 20;
  const Outcome outcome = generate(model_, prompt_);
  EXPECT_EQ(outcome.generation.tokens.size(), 16u);
  EXPECT_EQ(outcome.generation.finish, FinishReason::kLength);
}

TEST_F(GeneratorTest, TheSinkMayCancel) {
  options_.ignore_eos = true;
  const PackedModel packed(model_, ComputeType::kF32);
  const Generation result =
      Generator(packed, tokenizer_).generate(prompt_, options_, [](std::string_view) { return false; });
  EXPECT_EQ(result.finish, FinishReason::kCancelled);
  EXPECT_EQ(result.decode_steps, static_cast<int64_t>(result.tokens.size()) - 1);
  EXPECT_LT(result.decode_steps, options_.max_tokens - 1);
}

TEST_F(GeneratorTest, AnEmptyPromptIsTheBosToken) {
  EXPECT_EQ(generate(model_, {}).generation.tokens,
            generate(model_, std::vector<int32_t>{0}).generation.tokens);
  model_.config.bos.reset();
  EXPECT_PARE_ERROR(generate(model_, {}), ErrorCode::kInvalid, "the prompt is empty");
}

TEST_F(GeneratorTest, RefusesWhatCannotRun) {
  EXPECT_PARE_ERROR(generate(model_, std::vector<int32_t>(128, 3)), ErrorCode::kInvalid,
                    "128 tokens leaves no room in the model's context of 128");
  EXPECT_PARE_ERROR(generate(model_, std::vector<int32_t>{64}), ErrorCode::kInvalid, "64");
  EXPECT_PARE_ERROR(generate(model_, std::vector<int32_t>{-1}), ErrorCode::kInvalid, "-1");
  options_.stop = {""};
  EXPECT_PARE_ERROR(generate(model_, prompt_), ErrorCode::kUsage, "`stop`");
  options_.stop.clear();
  options_.max_tokens = -1;
  EXPECT_PARE_ERROR(generate(model_, prompt_), ErrorCode::kUsage, "`max_tokens`");
}

}  // namespace
}  // namespace pare
