#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/rng.h"
#include "runtime/forward.h"
#include "support/expect_error.h"
#include "support/tiny_model.h"

namespace pare {
namespace {

constexpr int64_t kVocab = 64;
constexpr int64_t kSeqlen = 150;  // more than the rows that are scored at once

std::vector<int32_t> random_tokens(int64_t count) {
  Rng rng(3);
  std::vector<int32_t> tokens;
  for (int64_t t = 0; t < count; ++t) tokens.push_back(static_cast<int32_t>(rng.below(kVocab)));
  return tokens;
}

PackedModel tiny(uint64_t seed, int64_t vocab = kVocab) {
  return {test::make_tiny_model({.vocab = vocab, .max_positions = 256, .seed = seed}), ComputeType::kF32};
}

// ln softmax of every position of a window by the definition, in f64; (rows, vocab).
std::vector<std::vector<double>> log_probabilities(const PackedModel& model,
                                                   std::span<const int32_t> window) {
  KvCache cache(model, static_cast<int64_t>(window.size()));
  const Matrix<float> logits = logits_of(model, forward(model, window, cache));
  std::vector<std::vector<double>> result;
  for (int64_t r = 0; r < logits.rows(); ++r) {
    double sum = 0.0;
    for (int64_t c = 0; c < kVocab; ++c) sum += std::exp(static_cast<double>(logits(r, c)));
    result.emplace_back();
    for (int64_t c = 0; c < kVocab; ++c)
      result.back().push_back(static_cast<double>(logits(r, c)) - std::log(sum));
  }
  return result;
}

// f32 softmax against f64: exp is within 2 ulp and the sums are f64, so 1e-6 on a logarithm; logits of other
// row counts may round differently, by a few ulp of values near 10.
constexpr double kTolerance = 2e-5;

TEST(Perplexity, MatchesTheDefinition) {
  const PackedModel first = tiny(1);
  const PackedModel second = tiny(2);
  const PackedModel* models[] = {&first, &second};
  const std::vector<int32_t> tokens = random_tokens(2 * kSeqlen + 40);
  const auto results = measure_perplexity(models, tokens, {.seqlen = kSeqlen});
  std::vector<double> kls;
  int64_t same = 0;
  ASSERT_EQ(results[0].window_nll.size(), 2u);
  for (size_t w = 0; w < 2; ++w) {
    const std::span window = std::span(tokens).subspan(w * kSeqlen, kSeqlen);
    const auto p = log_probabilities(first, window);
    const auto q = log_probabilities(second, window);
    double nll[2] = {};
    for (size_t t = 0; t + 1 < window.size(); ++t) {
      nll[0] -= p[t][static_cast<size_t>(window[t + 1])];
      nll[1] -= q[t][static_cast<size_t>(window[t + 1])];
      kls.push_back(0.0);
      for (size_t c = 0; c < kVocab; ++c) kls.back() += std::exp(p[t][c]) * (p[t][c] - q[t][c]);
      same += std::max_element(p[t].begin(), p[t].end()) - p[t].begin() ==
              std::max_element(q[t].begin(), q[t].end()) - q[t].begin();
    }
    for (size_t m = 0; m < 2; ++m) EXPECT_NEAR(results[m].window_nll[w], nll[m] / (kSeqlen - 1), kTolerance);
  }
  const double targets = 2 * (kSeqlen - 1);
  EXPECT_NEAR(results[1].kl, std::accumulate(kls.begin(), kls.end(), 0.0) / targets, kTolerance);
  EXPECT_GT(results[1].kl, 0.1);
  // Of 298 values, 0.99 · 297 = 294.03 of the way.
  std::sort(kls.begin(), kls.end());
  EXPECT_NEAR(results[1].kl_99, 0.97 * kls[294] + 0.03 * kls[295], kTolerance);
  EXPECT_GT(results[1].kl_99, 1.2 * results[1].kl);
  EXPECT_DOUBLE_EQ(results[1].top1, static_cast<double>(same) / targets);
  EXPECT_EQ(results[0].kl, 0.0);
  EXPECT_EQ(results[0].kl_99, 0.0);
  EXPECT_EQ(results[0].top1, 1.0);
}

TEST(Perplexity, AModelDoesNotDifferFromItself) {
  const PackedModel first = tiny(1);
  const PackedModel again = tiny(1);
  const PackedModel* models[] = {&first, &again};
  const auto results = measure_perplexity(models, random_tokens(64), {.seqlen = 32});
  EXPECT_EQ(results[1].kl, 0.0);
  EXPECT_EQ(results[1].top1, 1.0);
  EXPECT_EQ(results[1].window_nll, results[0].window_nll);
}

TEST(Perplexity, PercentilesLieBetweenValues) {
  std::vector<float> values = {4.0f, 1.0f, 3.0f, 2.0f, 9.0f};
  EXPECT_EQ(percentile(values, 0.0), 1.0);
  EXPECT_EQ(percentile(values, 0.5), 3.0);
  EXPECT_DOUBLE_EQ(percentile(values, 0.875), 6.5);
  EXPECT_EQ(percentile(values, 1.0), 9.0);
  std::vector<float> one = {5.0f};
  EXPECT_EQ(percentile(one, 0.99), 5.0);
}

TEST(Perplexity, MeansAreOverWindows) {
  PerplexityResult result;
  result.window_nll = {1.0, 2.0, 3.0};
  EXPECT_DOUBLE_EQ(result.mean_nll(), 2.0);
  EXPECT_DOUBLE_EQ(result.perplexity(), std::exp(2.0));
  EXPECT_DOUBLE_EQ(result.standard_error().value(), std::exp(2.0) / std::sqrt(3.0));
  result.window_nll = {1.0};
  EXPECT_EQ(result.standard_error(), std::nullopt);
}

TEST(Perplexity, CountsWholeWindowsAndDropsTheTail) {
  EXPECT_EQ(window_count(2048, {}), 1);
  EXPECT_EQ(window_count(4095, {}), 1);
  EXPECT_EQ(window_count(4096, {}), 2);
  EXPECT_EQ(window_count(100, {.seqlen = 10, .windows = 3}), 3);
  EXPECT_EQ(window_count(100, {.seqlen = 10, .windows = 30}), 10);
  EXPECT_PARE_ERROR(window_count(2047, {}), ErrorCode::kInvalid, "2047 tokens");
  EXPECT_PARE_ERROR(window_count(100, {.seqlen = 1}), ErrorCode::kUsage, "`seqlen`");
  EXPECT_PARE_ERROR(window_count(100, {.seqlen = 10, .windows = -1}), ErrorCode::kUsage, "`windows`");
}

TEST(Perplexity, ReportsEachWindowAndOnlyUsesThoseAskedFor) {
  const PackedModel model = tiny(1);
  const PackedModel* models[] = {&model};
  std::vector<int64_t> seen;
  const auto results = measure_perplexity(models, random_tokens(100), {.seqlen = 10, .windows = 3},
                                          [&](int64_t done, int64_t total) {
                                            EXPECT_EQ(total, 3);
                                            seen.push_back(done);
                                          });
  EXPECT_EQ(seen, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(results[0].window_nll.size(), 3u);
}

TEST(Perplexity, RefusesModelsThatCannotBeCompared) {
  const PackedModel first = tiny(1);
  const PackedModel wider = tiny(1, 80);
  const PackedModel* models[] = {&first, &wider};
  EXPECT_PARE_ERROR(measure_perplexity(models, random_tokens(100), {.seqlen = 10}), ErrorCode::kInvalid,
                    "64 and 80");
  const PackedModel* one[] = {&first};
  EXPECT_PARE_ERROR(measure_perplexity(one, random_tokens(600), {.seqlen = 300}), ErrorCode::kInvalid,
                    "context of 256");
}

}  // namespace
}  // namespace pare
