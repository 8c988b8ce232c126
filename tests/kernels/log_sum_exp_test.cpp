#include "kernels/log_sum_exp.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace pare {
namespace {

// f32 logits up to 32 carry an error of 2^-19 each, which moves a log-probability by at most twice that.
constexpr double kTolerance = 4e-6;

TEST(LogSumExp, SumsWhateverTheScale) {
  std::vector<float> logits(3000, -700.0f);
  EXPECT_NEAR(log_sum_exp(logits, -700.0f), -700.0 + std::log(3000.0), kTolerance);
  std::vector<float> apart = {900.0f, -900.0f, 900.0f};
  EXPECT_NEAR(log_sum_exp(apart, 900.0f), 900.0 + std::log(2.0), kTolerance);
}

}  // namespace
}  // namespace pare
