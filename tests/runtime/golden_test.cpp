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

INSTANTIATE_TEST_SUITE_P(
    Cases, GoldenLogits,
    ::testing::Values("llama/mha", "llama/gqa-tied", "llama/bias", "llama/rope-linear", "llama/rope-llama3",
                      "llama/rope-llama3-older", "llama/minimal-config", "llama/sharded", "llama/bf16",
                      "llama/f16", "llama/rope-yarn", "llama/rope-yarn-older", "llama/rope-longrope",
                      "llama/rope-longrope-short", "llama/rope-dynamic", "mistral/window",
                      "mistral/no-window", "mistral/minimal-config", "qwen2/gqa", "qwen2/tied", "opt/relu",
                      "opt/untied-gelu", "opt/bare-linears", "opt/no-prefix", "opt/post-norm",
                      "opt/post-norm-untied", "opt/no-final-norm", "qwen3/gqa", "qwen3/tied-bias",
                      "qwen3/minimal-config", "olmo2/mha", "olmo2/gqa-tied", "olmo2/minimal-config",
                      "phi/half-rotary", "phi/quarter-rotary-gqa", "phi/minimal-config", "sliced/all-streams",
                      "sliced/block-rotation", "sliced/global-rotation", "sliced/first-layer-bare",
                      "sliced/opt-rotated", "sliced/opt-streams", "sliced/phi-rotated", "sliced/phi-streams",
                      "sliced/qwen3-rotated", "sliced/olmo2-streams", "sliced/opt-post-norm",
                      "sliced/rope-yarn", "sliced/rope-longrope", "sliced/rope-dynamic"));

}  // namespace
}  // namespace pare::test
