#include "kernels/log_sum_exp.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"

namespace pare {
namespace {

// f32 logits up to 32 carry an error of 2^-19 each, which moves a log-probability by at most twice that.
constexpr double kTolerance = 4e-6;

TEST(LogSumExp, SumsWhateverTheScale) {
  const std::vector<float> logits(3000, -700.0f);
  EXPECT_NEAR(log_sum_exp(logits), -700.0 + std::log(3000.0), kTolerance);
  const std::vector<float> apart = {900.0f, -900.0f, 900.0f};
  EXPECT_NEAR(log_sum_exp(apart), 900.0 + std::log(2.0), kTolerance);
}

// Rows that differ little, as those of a model and of one with a small change do.
TEST(ReferenceRow, SmallDivergencesKeepTheirDigits) {
  Rng rng(5);
  std::vector<float> a(50000);
  std::vector<float> b(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<float>(20.0 + 3.0 * rng.normal());
    b[i] = a[i] + static_cast<float>(0.01 * rng.normal());
  }
  const auto log_softmax = [](const std::vector<float>& row) {
    double sum = 0.0;
    for (const float x : row) sum += std::exp(static_cast<double>(x));
    std::vector<double> result;
    for (const float x : row) result.push_back(static_cast<double>(x) - std::log(sum));
    return result;
  };
  const ReferenceRow row(a);
  const std::vector<double> p = log_softmax(a);
  const std::vector<double> q = log_softmax(b);
  double expected = 0.0;
  for (size_t i = 0; i < p.size(); ++i) expected += std::exp(p[i]) * (p[i] - q[i]);
  // Exponentials are within 2 ulp, so each of the two sums of them is within 2^-22 of itself.
  EXPECT_NEAR(row.kl(b, log_sum_exp(b)), expected, 0x1p-21);
  EXPECT_EQ(row.kl(a, log_sum_exp(a)), 0.0);
}

}  // namespace
}  // namespace pare
