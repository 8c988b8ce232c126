// Orders of channels, and the exact changes of a model that bake them in.
#include "compress/sparsify/shuffle.h"

#include <gtest/gtest.h>

#include <numeric>

#include "compress/calibrated.h"
#include "compress/sparsify/permute.h"

namespace pare::test {
namespace {

constexpr Pattern kPatterns[] = {{2, 4}, {1, 4}, {4, 8}, {1, 2}, {6, 8}, {3, 5}};

ChannelScores random_scores(int64_t channels, int64_t samples, uint64_t seed) {
  ChannelScores scores(channels, samples);
  Rng rng(seed);
  for (int64_t c = 0; c < channels; ++c) {
    const double size = std::exp(rng.normal());
    for (int64_t s = 0; s < samples; ++s) scores(c, s) = static_cast<float>(size * std::abs(rng.normal()));
  }
  return scores;
}

std::vector<int64_t> identity(int64_t n) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

bool is_permutation_of_all(std::vector<int64_t> order) {
  std::sort(order.begin(), order.end());
  return order == identity(static_cast<int64_t>(order.size()));
}

TEST(ShuffleChannels, KeepsMoreOfTheScoreAndEveryChannelOnce) {
  for (const Pattern pattern : kPatterns) {
    const ChannelScores scores = random_scores(120, 37, 5);
    const double plain = kept_score(scores, identity(120), pattern);
    const std::vector<int64_t> global = shuffle_channels(scores, pattern, {true, false, 256});
    const std::vector<int64_t> local = shuffle_channels(scores, pattern, {false, true, 40});
    const std::vector<int64_t> both = shuffle_channels(scores, pattern, {true, true, 256});
    for (const auto& order : {global, local, both}) EXPECT_TRUE(is_permutation_of_all(order));
    EXPECT_GE(kept_score(scores, global, pattern), plain);
    EXPECT_GT(kept_score(scores, local, pattern), plain);
    EXPECT_GT(kept_score(scores, both, pattern), kept_score(scores, global, pattern));
    EXPECT_GT(kept_score(scores, both, pattern), kept_score(scores, local, pattern));
  }
}

TEST(ShuffleChannels, LocalOrderStaysInsideItsBlocks) {
  const std::vector<int64_t> order = shuffle_channels(random_scores(64, 9, 6), {2, 4}, {false, true, 16});
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i] / 16, static_cast<int64_t>(i) / 16);
}

TEST(ShuffleChannels, FindsTheBestOrderOfATinyProblem) {
  // Two groups of two, one of two stays: the strong channels must not meet.
  ChannelScores scores(4, 1);
  const float values[] = {5.0f, 4.0f, 1.0f, 0.5f};
  std::copy_n(values, 4, scores.data());
  for (const ShuffleOptions options : {ShuffleOptions{true, false, 256}, ShuffleOptions{false, true, 256}})
    EXPECT_EQ(kept_score(scores, shuffle_channels(scores, {1, 2}, options), {1, 2}), 9.0);
}

TEST(ShuffleChannels, DoesNotDependOnTheThreadCount) {
  const ChannelScores scores = random_scores(256, 64, 8);
  std::vector<int64_t> orders[2];
  for (int i = 0; i < 2; ++i) {
    const WithThreads threads(i + 1);
    orders[i] = shuffle_channels(scores, {2, 4}, {true, true, 64});
  }
  EXPECT_EQ(orders[0], orders[1]);
}

std::vector<int64_t> random_order(int64_t n, uint64_t seed) {
  std::vector<int64_t> order = identity(n);
  Rng rng(seed);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

TEST(Permute, LeavesTheFunctionAlone) {
  const CalibrationSet set = random_calibration(2, 24);
  for (const bool tied : {true, false}) {
    const Model dense = make_tiny_model({.tied = tied, .biases = true});
    Model hidden = dense;
    permute_hidden(hidden.blocks[1].stages[1], random_order(48, 1));
    EXPECT_LT(logit_difference(dense, hidden, set), 1e-5);
    const auto first_of_down = [](const Model& model) {
      return decode(std::get<Mlp>(model.blocks[1].stages[1].branches[0]).down.weight)(0, 0);
    };
    EXPECT_NE(first_of_down(hidden), first_of_down(dense));
    Model values = dense;
    for (int64_t k = 0; k < 2; ++k)
      permute_values(values.blocks[0].stages[0], k, random_order(8, 2 + static_cast<uint64_t>(k)));
    EXPECT_LT(logit_difference(dense, values, set), 1e-5);
    Model residual = dense;
    permute_residual(residual, random_order(32, 4));
    EXPECT_LT(logit_difference(dense, residual, set), 1e-5);
    EXPECT_NE(decode(residual.embedding)(0, 0), decode(dense.embedding)(0, 0));
  }
}

}  // namespace
}  // namespace pare::test
