// Tiny models of every kind against the logits of transformers
// (tests/golden/{llama,mistral,qwen2,qwen3,olmo2,opt,phi,sliced}).
#include <gtest/gtest.h>

#include "support/run_model.h"

namespace pare::test {
namespace {

class GoldenLogits : public ::testing::TestWithParam<const char*> {};

// The stored logits are within 1e-5 of their spread of exact ones; f32 in another order may be as far again,
// and there are ten times more.
TEST_P(GoldenLogits, F32) {
  const auto folder = golden_folder(GetParam());
  const Golden golden = read_golden(folder);
  const Matrix<float> logits = run_model(load_model(folder), golden.tokens);
  EXPECT_LT(largest_difference(golden.logits, logits), 1e-4 * golden.spread);
}

// Both factors of a product are rounded by up to 2^-9 of themselves. About 50 such roundings lie on the way
// through these models, which adds up to 2^-9 · √50 = 0.014; norms may scale it up, so twice as much is
// allowed.
TEST_P(GoldenLogits, Bf16) {
  const auto folder = golden_folder(GetParam());
  const Golden golden = read_golden(folder);
  Matrix<float> difference = run_model(load_model(folder), golden.tokens, ComputeType::kBF16);
  for (int64_t i = 0; i < difference.size(); ++i) difference.data()[i] -= golden.logits.data()[i];
  EXPECT_LT(standard_deviation(difference), 2 * 0.014 * golden.spread);
  EXPECT_GT(standard_deviation(difference), 1e-4 * golden.spread);  // it is not f32
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenLogits, ::testing::ValuesIn(kGoldenCases));

}  // namespace
}  // namespace pare::test
