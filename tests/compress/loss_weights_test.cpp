// Weights of calibration tokens by the gradient of the loss.
#include "compress/calibrate/loss_weights.h"

#include <gtest/gtest.h>

#include <numeric>

#include "compress/calibrated.h"
#include "compress/quantize/quantize.h"
#include "kernels/log_sum_exp.h"
#include "support/expect_error.h"
#include "support/run_model.h"
#include "support/temp_dir.h"

namespace pare::test {
namespace {

constexpr Role kMlpInputs[] = {Role::kGate, Role::kUp};
constexpr Role kDown[] = {Role::kDown};

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

TEST(LossWeights, HaveAMeanOfOneAndForgetNoToken) {
  const CalibrationSet set = random_calibration(6, 40);
  for (const TinyModelOptions& like : every_design()) {
    const Model model = make_tiny_model(like);
    WorkArea area;
    const LossWeights weights(model, set, area);
    const size_t last = model.blocks.size() * model.blocks.front().stages.size() - 1;
    const std::vector<double> of_down = weights.of(last, kDown);
    ASSERT_EQ(of_down.size(), 240u);
    EXPECT_NEAR(mean(of_down), 1.0, 1e-9);
    EXPECT_NEAR(mean(weights.of_head()), 1.0, 1e-9);
    for (const double weight : of_down) EXPECT_GE(weight, 0.5);
    EXPECT_GT(*std::max_element(of_down.begin(), of_down.end()), 1.2);
  }
}

// The gradient at the logits is p − e for a drawn token e, and where p is flat its energy is nearly that of
// any e: 1 + Σp² − 2p.
TEST(LossWeights, OfTheHeadAreTheEnergiesAtTheLogits) {
  const Model model = make_tiny_model();
  const CalibrationSet set = random_calibration(4, 64);
  WorkArea area;
  const std::vector<double> weights = LossWeights(model, set, area).of_head();
  double low = 0.0;
  double high = 0.0;
  std::vector<std::pair<double, double>> pairs;  // largest probability, weight
  for (size_t s = 0; s < set.sequences.size(); ++s) {
    Matrix<float> logits = run_model(model, set.sequences[s]);
    for (int64_t t = 0; t < logits.rows(); ++t) {
      const std::span<float> row(logits.row(t), static_cast<size_t>(logits.cols()));
      softmax(row);
      EXPECT_NEAR(std::accumulate(row.begin(), row.end(), 0.0), 1.0, 1e-5);
      pairs.emplace_back(*std::max_element(row.begin(), row.end()), weights[s * 64 + static_cast<size_t>(t)]);
    }
  }
  std::sort(pairs.begin(), pairs.end());
  for (size_t i = 0; i < pairs.size() / 4; ++i) {
    high += pairs[i].second;
    low += pairs[pairs.size() - 1 - i].second;
  }
  EXPECT_GT(high, 1.1 * low);  // sure predictions have small gradients
}

TEST(LossWeights, TokensAreDrawnByTheSeed) {
  const Model model = make_tiny_model();
  CalibrationSet set = random_calibration(4, 32);
  const auto weights = [&](uint64_t seed) {
    WorkArea area;
    set.seed = seed;
    return LossWeights(model, set, area).of(1, kMlpInputs);
  };
  EXPECT_EQ(weights(1), weights(1));
  EXPECT_NE(weights(1), weights(2));
}

TEST(LossWeights, AreTakenFromAnInterruptedRun) {
  const TempDir folder;
  const Model model = make_tiny_model();
  const CalibrationSet set = random_calibration(4, 32);
  std::vector<double> first;
  {
    WorkArea area(folder / "work", Encoding::kF32, false);
    first = LossWeights(model, set, area).of(1, kMlpInputs);
  }
  WorkArea area(folder / "work", Encoding::kF32, false);
  int64_t steps = 0;
  const LossWeights again(model, set, area, [&](const std::string&, int64_t, int64_t) { ++steps; });
  EXPECT_EQ(steps, 0);
  EXPECT_EQ(again.of(1, kMlpInputs), first);
}

TEST(LossWeights, ChangeWhatIsRounded) {
  const Model original = make_tiny_model({.width = 64, .heads = 8, .kv_heads = 4, .intermediate = 64});
  const CalibrationSet set = random_calibration(4, 32);
  const auto rounded = [&](TokenWeights weights) {
    Model model = original;
    WorkArea area;
    Report report;
    QuantizeOptions options;
    options.format = QuantizeScheme("q4n");
    options.weights = weights;
    quantize(model, set, options, area, report);
    return decode(model.embedding);
  };
  EXPECT_GT(largest_difference(rounded(TokenWeights::kNone), rounded(TokenWeights::kLoss)), 0.0);
}

}  // namespace
}  // namespace pare::test
