#include "eval/token_scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace pare {
namespace {

// Logits whose softmax is `p`, shifted, which softmax ignores.
std::vector<float> logits_with(const std::vector<double>& p, double shift) {
  std::vector<float> logits;
  for (const double x : p) logits.push_back(static_cast<float>(std::log(x) + shift));
  return logits;
}

// f32 logits up to 32 carry an error of 2^-19 each, which moves a log-probability by at most twice that.
constexpr double kTolerance = 4e-6;

TEST(TokenScores, MatchProbabilitiesWrittenDown) {
  const std::vector<double> p = {0.5, 0.25, 0.125, 0.125};
  const std::vector<double> q = {0.125, 0.25, 0.5, 0.125};
  const auto a = logits_with(p, 30.0);
  const auto b = logits_with(q, -30.0);
  const float* rows[] = {a.data(), b.data(), a.data()};
  TokenScore scores[3];
  score_token(rows, 4, 2, scores);
  EXPECT_NEAR(scores[0].nll, std::log(8.0), kTolerance);
  EXPECT_NEAR(scores[1].nll, std::log(2.0), kTolerance);
  // Σ p ln(p/q) = 0.5 ln 4 + 0.125 ln(1/4)
  EXPECT_NEAR(scores[1].kl, 0.375 * std::log(4.0), kTolerance);
  EXPECT_FALSE(scores[1].top1);
  EXPECT_EQ(scores[0].kl, 0.0);
  EXPECT_EQ(scores[2].kl, 0.0);
  EXPECT_TRUE(scores[2].top1);
}

TEST(TokenScores, TheFirstOfEqualMaximaIsTheTopToken) {
  const std::vector<float> a = {1.0f, 3.0f, 3.0f};
  const std::vector<float> b = {3.0f, 3.0f, 1.0f};
  const std::vector<float> c = {1.0f, 3.0f, 2.0f};
  const float* rows[] = {a.data(), b.data(), c.data()};
  TokenScore scores[3];
  score_token(rows, 3, 0, scores);
  EXPECT_TRUE(scores[0].top1);
  EXPECT_FALSE(scores[1].top1);
  EXPECT_TRUE(scores[2].top1);
}

TEST(TokenScores, HugeGapsGiveFiniteScores) {
  const std::vector<float> a = {0.0f, 2000.0f, -2000.0f};
  const std::vector<float> b = {2000.0f, 0.0f, -2000.0f};
  const float* rows[] = {a.data(), b.data()};
  TokenScore scores[2];
  score_token(rows, 3, 2, scores);
  EXPECT_DOUBLE_EQ(scores[0].nll, 4000.0);
  EXPECT_DOUBLE_EQ(scores[1].kl, 2000.0);
}

TEST(TokenScores, AVocabularyOfManyPiecesSumsExactly) {
  // Uniform over 5000: ln 5000, whatever the sum's order.
  const std::vector<float> a(5000, 1.5f);
  const float* rows[] = {a.data()};
  TokenScore score;
  score_token(rows, 5000, 4999, std::span(&score, 1));
  EXPECT_NEAR(score.nll, std::log(5000.0), kTolerance);
}

}  // namespace
}  // namespace pare
