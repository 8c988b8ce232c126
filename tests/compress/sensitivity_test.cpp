// The effect of cutting one stream on the predictions.
#include "compress/slice/sensitivity.h"

#include "compress/calibrated.h"
#include "compress/walk/stage_losses.h"
#include "support/expect_error.h"

namespace pare::test {
namespace {

std::vector<const Stage*> stages_of(const Model& model) {
  std::vector<const Stage*> stages;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages) stages.push_back(&stage);
  return stages;
}

// Mean KL of next-token predictions at every second position, from whole forward passes in f32.
double direct_kl(const Model& dense, const Model& changed, const CalibrationSet& set) {
  double sum = 0.0;
  int64_t count = 0;
  for (const auto& sequence : set.sequences) {
    const auto logits = [&](const Model& model) {
      const PackedModel packed(model, ComputeType::kF32);
      KvCache cache(packed, set.seqlen());
      return logits_of(packed, forward(packed, sequence, cache));
    };
    const Matrix<float> a = logits(dense);
    const Matrix<float> b = logits(changed);
    for (int64_t t = 0; t < a.rows(); t += 2) {
      const auto log_sum = [](const float* row, int64_t n) {
        double total = 0.0;
        for (int64_t i = 0; i < n; ++i) total += std::exp(static_cast<double>(row[i]));
        return std::log(total);
      };
      const double la = log_sum(a.row(t), a.cols());
      const double lb = log_sum(b.row(t), b.cols());
      for (int64_t i = 0; i < a.cols(); ++i)
        sum += std::exp(a(t, i) - la) * ((a(t, i) - la) - (b(t, i) - lb));
      ++count;
    }
  }
  return sum / static_cast<double>(count);
}

class StageProbeModel : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Tied, StageProbeModel, ::testing::Bool());

Stage removed(const Stage& stage) {
  Stage result = stage;
  result.branches.clear();
  return result;
}

TEST_P(StageProbeModel, AnUnchangedStageCostsNothingAndARemovedOneWhatItDoes) {
  const Model dense = make_tiny_model({.tied = GetParam(), .biases = true});
  const CalibrationSet set = random_calibration(3, 32);
  const auto stages = stages_of(dense);
  WorkArea area;
  StageLosses probe(dense, set, 2 * static_cast<int64_t>(stages.size()), area, "probe");
  probe.start();
  for (const Stage* stage : stages) probe.advance(*stage, std::vector<Stage>{*stage, removed(*stage)});
  const std::vector<double> losses = probe.losses();
  ASSERT_EQ(losses.size(), 2 * stages.size());
  for (size_t s = 0; s < stages.size(); ++s) {
    EXPECT_NEAR(losses[2 * s], 0.0, 1e-6) << s;
    Model changed = dense;
    changed.blocks[s / 2].stages[s % 2] = removed(*stages[s]);
    const double direct = direct_kl(dense, changed, set);
    EXPECT_GT(direct, 1e-2);
    // bf16 products move single logits by 2^-8 of their spread.
    EXPECT_NEAR(losses[2 * s + 1], direct, 0.05 * direct) << s;
  }
}

TEST(StageLosses, WorksBehindAHeadTransform) {
  Model dense = make_tiny_model();
  dense.head_transform = Weight::from_matrix(random_orthogonal(32, 4).view());
  update_config(dense);
  const CalibrationSet set = random_calibration(2, 32);
  WorkArea area;
  StageLosses probe(dense, set, 1, area, "probe");
  probe.start();
  const auto stages = stages_of(dense);
  for (size_t s = 0; s < stages.size(); ++s)
    probe.advance(*stages[s], s == 0 ? std::vector<Stage>{removed(*stages[0])} : std::vector<Stage>{});
  Model changed = dense;
  changed.blocks[0].stages[0].branches.clear();
  const double direct = direct_kl(dense, changed, set);
  EXPECT_NEAR(probe.losses().at(0), direct, 0.05 * direct);
}

TEST(MeasureSensitivity, GivesACurveForEveryWantedStream) {
  const Model model = make_tiny_model();
  const CalibrationSet set = random_calibration(6, 32);
  for (const auto& [hidden, value] :
       std::vector<std::pair<bool, bool>>{{true, true}, {true, false}, {false, true}}) {
    SensitivityOptions options;
    options.hidden = hidden;
    options.value = value;
    options.granularity = 4;
    std::vector<int64_t> seen;
    WorkArea area;
    const auto result =
        measure_sensitivity(model, set, options, area, [&](const std::string&, int64_t done, int64_t total) {
          EXPECT_EQ(total, 100);
          seen.push_back(done);
        });
    EXPECT_EQ(seen.size(), 5u);  // before each stage and at the end
    EXPECT_EQ(seen.front(), 0);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    EXPECT_EQ(seen.back(), 100);
    std::vector<size_t> stages;
    for (const StreamSensitivity& s : result) stages.push_back(s.place.stage);
    EXPECT_EQ(stages, hidden && value ? (std::vector<size_t>{0, 1, 2, 3})
                      : hidden        ? (std::vector<size_t>{1, 3})
                                      : (std::vector<size_t>{0, 2}));
    for (const StreamSensitivity& s : result) {
      const Stage& stage = *stages_of(model)[s.place.stage];
      const WidthCurve& curve = s.curve;
      EXPECT_EQ(curve.parameters_per_width, parameters_per_width(stage));
      ASSERT_EQ(curve.widths.size(), curve.loss.size());
      EXPECT_EQ(curve.widths.front(), stream_width(stage));
      EXPECT_EQ(curve.widths.back(), stream_width(stage) / 4);
      if (stream_kind(stage) == StreamKind::kHidden) {
        for (const int64_t width : curve.widths) EXPECT_EQ(width % 4, 0);
      }
      EXPECT_EQ(curve.loss.front(), 0.0);
      for (size_t i = 1; i < curve.widths.size(); ++i) {
        EXPECT_LT(curve.widths[i], curve.widths[i - 1]);
        EXPECT_GE(curve.loss[i], curve.loss[i - 1]);
      }
      EXPECT_GT(curve.loss.back(), 1e-4);
    }
  }
}

std::vector<StreamSensitivity> measured(const Model& model, const CalibrationSet& set,
                                        const SensitivityOptions& options) {
  WorkArea area;
  return measure_sensitivity(model, set, options, area);
}

// A stream that the model does not use is the one to cut.
TEST(MeasureSensitivity, AStreamWithoutEffectCostsNothing) {
  Model model = make_tiny_model();
  Mlp& mlp = std::get<Mlp>(model.blocks[0].stages[1].branches[0]);
  mlp.down.weight = Weight::from_matrix(Matrix<float>::zeros(32, 48).view());
  const auto result = measured(model, random_calibration(6, 32), {});
  for (const StreamSensitivity& s : result) {
    EXPECT_EQ(s.curve.loss.back() < 1e-6, s.place.stage == 1) << s.place.stage << " " << s.curve.loss.back();
  }
}

TEST(MeasureSensitivity, TakesOneShortSequence) {
  SensitivityOptions options;
  options.sizes.gram_sequences = 8;
  const auto result = measured(make_tiny_model(), random_calibration(1, 2), options);
  EXPECT_EQ(result.size(), 4u);
}

}  // namespace
}  // namespace pare::test
