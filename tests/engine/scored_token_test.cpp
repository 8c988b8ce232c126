#include "engine/scored_token.h"

#include <gtest/gtest.h>

#include <cmath>

namespace pare {
namespace {

// Probabilities 0.3, 0.1, 0.4, 0.2; f32 logits of about 1 are off by 2^-24, their differences by twice that.
const std::vector<float> kLogits = {std::log(0.3f), std::log(0.1f), std::log(0.4f), std::log(0.2f)};
constexpr double kTolerance = 1e-6;

TEST(ScoredToken, HasItsOwnLogprobAndTheMostProbableOnes) {
  const ScoredToken scored = score_token(kLogits, 1, 3);
  EXPECT_EQ(scored.id, 1);
  EXPECT_NEAR(*scored.logprob, std::log(0.1), kTolerance);
  ASSERT_EQ(scored.top.size(), 3u);
  const int32_t ids[] = {2, 0, 3};
  const double probabilities[] = {0.4, 0.3, 0.2};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(scored.top[i].id, ids[i]);
    EXPECT_NEAR(scored.top[i].logprob, std::log(probabilities[i]), kTolerance);
  }
}

TEST(ScoredToken, OfEqualTokensTheFirstComesFirst) {
  const ScoredToken scored = score_token(std::vector<float>{1.0f, 2.0f, 2.0f, 2.0f}, 3, 2);
  EXPECT_EQ(scored.top[0].id, 1);
  EXPECT_EQ(scored.top[1].id, 2);
  EXPECT_EQ(scored.top[0].logprob, *scored.logprob);
}

TEST(ScoredToken, AsManyAsThereAre) {
  EXPECT_TRUE(score_token(kLogits, 0, 0).top.empty());
  EXPECT_EQ(score_token(kLogits, 0, 20).top.size(), 4u);
}

}  // namespace
}  // namespace pare
