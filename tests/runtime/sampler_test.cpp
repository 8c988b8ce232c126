#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "support/expect_error.h"

namespace pare::test {
namespace {

// Probabilities 0.4, 0.3, 0.2, 0.1 of tokens 2, 0, 3, 1.
const std::vector<float> kLogits = {std::log(0.3f), std::log(0.1f), std::log(0.4f), std::log(0.2f)};

std::map<int32_t, double> frequencies(const SamplingOptions& options,
                                      const std::vector<int32_t>& history = {}, int draws = 20000) {
  Sampler sampler(options);
  std::map<int32_t, double> shares;
  for (int i = 0; i < draws; ++i) shares[sampler.sample(kLogits, history)] += 1.0 / draws;
  return shares;
}

// Five standard deviations of a share of 20000 draws are at most 0.018.
void expect_shares(const std::map<int32_t, double>& got, const std::map<int32_t, double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (const auto& [id, share] : expected) EXPECT_NEAR(got.at(id), share, 0.018) << id;
}

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  Sampler greedy({});
  EXPECT_EQ(greedy.sample(kLogits, {}), 2);
  EXPECT_EQ(greedy.sample(std::vector<float>{1.0f, 3.0f, 3.0f}, {}), 1);
}

TEST(Sampler, DrawsByProbability) {
  expect_shares(frequencies({.temperature = 1.0}), {{0, 0.3}, {1, 0.1}, {2, 0.4}, {3, 0.2}});
}

TEST(Sampler, TemperatureSharpens) {
  // Squares 0.16, 0.09, 0.04, 0.01 of the probabilities, normalised.
  expect_shares(frequencies({.temperature = 0.5}),
                {{0, 0.09 / 0.3}, {1, 0.01 / 0.3}, {2, 0.16 / 0.3}, {3, 0.04 / 0.3}});
}

TEST(Sampler, TopK) {
  expect_shares(frequencies({.temperature = 1.0, .top_k = 2}), {{0, 3.0 / 7}, {2, 4.0 / 7}});
  expect_shares(frequencies({.temperature = 1.0, .top_k = 1}), {{2, 1.0}});
  EXPECT_EQ(frequencies({.temperature = 1.0, .top_k = 100}).size(), 4u);
}

TEST(Sampler, TopPKeepsTheSmallestSetWithThatMuch) {
  expect_shares(frequencies({.temperature = 1.0, .top_p = 0.65}), {{0, 3.0 / 7}, {2, 4.0 / 7}});
  expect_shares(frequencies({.temperature = 1.0, .top_p = 0.75}), {{0, 3.0 / 9}, {2, 4.0 / 9}, {3, 2.0 / 9}});
  expect_shares(frequencies({.temperature = 1.0, .top_p = 1e-6}), {{2, 1.0}});
}

TEST(Sampler, TopPCountsWhatTopKLeft) {
  // Of 4/7 and 3/7, the first alone reaches a half; of all four it would not.
  expect_shares(frequencies({.temperature = 1.0, .top_k = 2, .top_p = 0.5}), {{2, 1.0}});
}

TEST(Sampler, MinPIsRelativeToTheBest) {
  expect_shares(frequencies({.temperature = 1.0, .min_p = 0.6}), {{0, 3.0 / 7}, {2, 4.0 / 7}});
  expect_shares(frequencies({.temperature = 1.0, .min_p = 1.0}), {{2, 1.0}});
}

TEST(Sampler, RepetitionPenaltyCountsATokenOnce) {
  // Negative logits are multiplied: p^2 for tokens seen.
  const double total = 0.16 + 0.3 + 0.2 + 0.1;
  expect_shares(frequencies({.temperature = 1.0, .repetition_penalty = 2.0}, {2, 2, 2}),
                {{0, 0.3 / total}, {1, 0.1 / total}, {2, 0.16 / total}, {3, 0.2 / total}});
  Sampler greedy({.repetition_penalty = 2.0});
  EXPECT_EQ(greedy.sample(std::vector<float>{3.0f, 2.0f, -1.0f}, std::vector<int32_t>{0}), 1);
  EXPECT_EQ(greedy.sample(std::vector<float>{-3.0f, -2.0f, -1.0f}, std::vector<int32_t>{2, 1}), 2);
}

TEST(Sampler, FrequencyAndPresenceCountWhatWasGenerated) {
  Sampler greedy({.frequency_penalty = 1.0, .presence_penalty = 0.5});
  const std::vector<float> logits = {3.0f, 2.0f, 0.0f};
  // Token 0 was generated once: 3 - 1.5 is less than 2. In the prompt it does not count.
  EXPECT_EQ(greedy.sample(logits, std::vector<int32_t>{0, 0, 0}, 1), 1);
  EXPECT_EQ(greedy.sample(logits, std::vector<int32_t>{0, 0, 0}, 0), 0);
  // Twice against once: 3 - 2.5 against 2 - 1.5, the first of equal ones.
  EXPECT_EQ(greedy.sample(logits, std::vector<int32_t>{0, 1, 0}, 3), 0);
  EXPECT_EQ(greedy.sample(logits, std::vector<int32_t>{0, 1, 0, 0}, 4), 1);
  Sampler rewards({.frequency_penalty = -1.0});
  EXPECT_EQ(rewards.sample(logits, std::vector<int32_t>{2, 2, 2, 2}, 4), 2);
}

TEST(Sampler, BiasIsAddedToLogits) {
  // e^-100 is nothing, ln 4 makes 0.1 as likely as 0.4.
  expect_shares(frequencies({.temperature = 1.0, .logit_bias = {{2, -100.0f}, {1, std::log(4.0f)}}}),
                {{0, 0.3 / 0.9}, {1, 0.4 / 0.9}, {3, 0.2 / 0.9}});
}

TEST(Sampler, ForbiddenTokensAreNotChosenWhileThereAreOthers) {
  Sampler greedy({});
  EXPECT_EQ(greedy.sample(kLogits, {}, 0, std::vector<int32_t>{2, 0}), 3);
  Sampler nucleus({.temperature = 1.0, .top_p = 0.5, .min_p = 0.1});
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(nucleus.sample(kLogits, {}, 0, std::vector<int32_t>{0, 1, 2}), 3);
    EXPECT_LT(nucleus.sample(kLogits, {}, 0, std::vector<int32_t>{0, 1, 2, 3}), 4);
  }
}

TEST(Sampler, ASeedFixesTheSequence) {
  const auto draw = [](uint64_t seed) {
    Sampler sampler({.temperature = 1.0, .top_k = 3, .seed = seed});
    std::vector<int32_t> ids;
    for (int i = 0; i < 64; ++i) ids.push_back(sampler.sample(kLogits, {}));
    return ids;
  };
  EXPECT_EQ(draw(5), draw(5));
  EXPECT_NE(draw(5), draw(6));
}

TEST(Sampler, OptionsOutOfRangeAreNamed) {
  EXPECT_PARE_ERROR(Sampler({.temperature = -1.0}), ErrorCode::kUsage, "`temperature`");
  EXPECT_PARE_ERROR(Sampler({.temperature = NAN}), ErrorCode::kUsage, "`temperature`");
  EXPECT_PARE_ERROR(Sampler({.top_k = -1}), ErrorCode::kUsage, "`top_k`");
  EXPECT_PARE_ERROR(Sampler({.top_p = 0.0}), ErrorCode::kUsage, "`top_p`");
  EXPECT_PARE_ERROR(Sampler({.top_p = 1.5}), ErrorCode::kUsage, "`top_p`");
  EXPECT_PARE_ERROR(Sampler({.min_p = -0.1}), ErrorCode::kUsage, "`min_p`");
  EXPECT_PARE_ERROR(Sampler({.repetition_penalty = 0.0}), ErrorCode::kUsage, "`repetition_penalty`");
}

}  // namespace
}  // namespace pare::test
