// Cutting the streams inside the stages.
#include "compress/slice/streams.h"

#include <algorithm>

#include "compress/calibrated.h"
#include "compress/slice/stream_slicing.h"
#include "support/expect_error.h"
#include "tensor/sparse_weight.h"

namespace pare::test {
namespace {

constexpr size_t kAttention = 0;
constexpr size_t kMlp = 1;

Model with_stage(Model model, size_t block, size_t stage, Stage changed) {
  model.blocks[block].stages[stage] = std::move(changed);
  update_config(model);
  return model;
}

Mlp& mlp_of(Model& model, size_t block) {
  return std::get<Mlp>(model.blocks[block].stages[kMlp].branches[0]);
}
Attention& attention_of(Model& model, size_t block) {
  return std::get<Attention>(model.blocks[block].stages[kAttention].branches[0]);
}

// ‖a − b‖² / ‖a‖²
double squared_error(const Matrix<float>& a, const Matrix<float>& b) {
  double difference = 0.0;
  double total = 0.0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const double x = a.data()[i];
    difference += (x - b.data()[i]) * (x - b.data()[i]);
    total += x * x;
  }
  return difference / total;
}

class Streams : public ::testing::TestWithParam<bool> {
 protected:
  Model model() const { return make_tiny_model({.biases = GetParam()}); }
};

INSTANTIATE_TEST_SUITE_P(Biases, Streams, ::testing::Bool());

TEST_P(Streams, FullWidthIsExact) {
  const Model dense = model();
  const CalibrationSet set = random_calibration(4, 48);
  for (const size_t stage : {kAttention, kMlp}) {
    const StageSignals signals = signals_of(dense, set, 1, stage);
    const Stage& original = dense.blocks[1].stages[stage];
    const StreamCut cut = cut_stream(original, signals.gram.view(), stream_width(original), 0.0);
    EXPECT_NEAR(cut.relative_error, 0.0, 1e-10);
    EXPECT_EQ(cut.raised, 0);
    EXPECT_LT(logit_difference(dense, with_stage(dense, 1, stage, cut.stage), set), 1e-5);
  }
}

TEST_P(Streams, RelativeErrorIsThatOfTheOutputs) {
  const Model dense = model();
  const CalibrationSet set = random_calibration(4, 48);
  for (const size_t stage : {kAttention, kMlp}) {
    const StageSignals signals = signals_of(dense, set, 1, stage);
    const Stage& original = dense.blocks[1].stages[stage];
    for (const double ridge : {1e-3, 0.3}) {
      const int64_t width = stream_width(original) / 2;
      const StreamCut cut = cut_stream(original, signals.gram.view(), width, ridge);
      // The reader's bias is no part of the error's scale: take it out of what is compared.
      Model plain = dense;
      Model changed = with_stage(dense, 1, stage, cut.stage);
      for (Model* m : {&plain, &changed}) {
        std::vector<float>& bias = stage == kMlp ? mlp_of(*m, 1).down.bias : attention_of(*m, 1).o.bias;
        bias.clear();
      }
      const double direct =
          squared_error(signals_of(plain, set, 1, stage).branch, signals_of(changed, set, 1, stage).branch);
      EXPECT_GT(direct, 1e-3);
      EXPECT_NEAR(cut.relative_error, direct, 1e-4 * direct);
    }
  }
}

TEST_P(Streams, ErrorGrowsAsTheWidthShrinks) {
  const Model dense = model();
  const CalibrationSet set = random_calibration(4, 48);
  for (const size_t stage : {kAttention, kMlp}) {
    const StageSignals signals = signals_of(dense, set, 0, stage);
    const Stage& original = dense.blocks[0].stages[stage];
    double last = 1.0 + 1e-9;
    for (int64_t width = 1; width < stream_width(original); width += 3) {
      const double error = cut_stream(original, signals.gram.view(), width, 1e-6).relative_error;
      EXPECT_LT(error, last) << width;
      last = error;
    }
  }
}

// The last two of every four columns of down are zero.
Model with_sparse_down(Model model, size_t block) {
  Linear& down = mlp_of(model, block).down;
  Matrix<float> values = decode(down.weight);
  for (int64_t i = 0; i < values.size(); ++i)
    if (i % 4 >= 2) values.data()[i] = 0.0f;
  down.weight = Weight::from_matrix(std::as_const(values).view());
  return model;
}

TEST_P(Streams, ASparseReaderKeepsItsPattern) {
  const Model sparse = with_sparse_down(model(), 1);
  EXPECT_EQ(hidden_granularity(sparse, 6), 12);
  EXPECT_EQ(hidden_granularity(model(), 6), 6);
  const CalibrationSet set = random_calibration(4, 48);
  const StageSignals signals = signals_of(sparse, set, 1, kMlp);
  const Stage& original = sparse.blocks[1].stages[kMlp];
  Model changed = with_stage(sparse, 1, kMlp, cut_stream(original, signals.gram.view(), 24, 1e-3).stage);
  EXPECT_TRUE(can_store(mlp_of(changed, 1).down.weight, k2of4));
  // Whole groups of four neurons stay, as they were.
  const Matrix<float> before = decode(std::get<Mlp>(original.branches[0]).up.weight);
  const Matrix<float> after = decode(mlp_of(changed, 1).up.weight);
  for (int64_t group = 0; group < 6; ++group) {
    int64_t from = 0;
    while (!std::equal(after.row(4 * group), after.row(4 * group) + after.cols(), before.row(from))) ++from;
    EXPECT_EQ(from % 4, 0);
    EXPECT_TRUE(std::equal(after.row(4 * group), after.row(4 * group) + 4 * after.cols(), before.row(from)));
  }
}

TEST_P(Streams, ASparseReaderIsRefittedInItsPattern) {
  Model sparse = with_sparse_down(model(), 1);
  mlp_of(sparse, 1).down.bias.clear();
  const CalibrationSet set = random_calibration(4, 48);
  const StageSignals signals = signals_of(sparse, set, 1, kMlp);
  const StreamCut cut = cut_stream(sparse.blocks[1].stages[kMlp], signals.gram.view(), 24, 1e-6);
  Model changed = with_stage(sparse, 1, kMlp, cut.stage);
  mlp_of(changed, 1).down.bias.clear();
  const Matrix<float> wanted = signals.branch.clone();
  const double error = squared_error(wanted, signals_of(changed, set, 1, kMlp).branch);
  EXPECT_NEAR(cut.relative_error, error, 1e-3 * error);
  // Another value in any of its places makes it worse.
  for (const float factor : {0.9f, 1.1f}) {
    Model other = changed;
    Matrix<float> values = decode(mlp_of(other, 1).down.weight);
    for (int64_t i = 0; i < values.size(); i += 4) values.data()[i] *= factor;
    mlp_of(other, 1).down.weight = Weight::from_matrix(std::as_const(values).view());
    EXPECT_GT(squared_error(wanted, signals_of(other, set, 1, kMlp).branch), error);
  }
}

TEST_P(Streams, ParametersPerWidthIsTheRealDifference) {
  const Model dense = model();
  const CalibrationSet set = random_calibration(2, 32);
  for (const size_t stage : {kAttention, kMlp}) {
    const StageSignals signals = signals_of(dense, set, 0, stage);
    const Stage& original = dense.blocks[0].stages[stage];
    const int64_t width = stream_width(original) - 3;
    const Model cut =
        with_stage(dense, 0, stage, cut_stream(original, signals.gram.view(), width, 1e-3).stage);
    EXPECT_EQ(stream_width(cut.blocks[0].stages[stage]), width);
    EXPECT_EQ(model_size(dense).parameters - model_size(cut).parameters, 3 * parameters_per_width(original));
  }
}

TEST_P(Streams, DeadNeuronsGoFirstAndCostNothing) {
  Model dense = model();
  Mlp& mlp = mlp_of(dense, 0);
  const std::vector<int64_t> dead = {0, 7, 8, 20, 46};
  // Two kinds of dead: nothing comes in (up is 0), or nothing goes out (down is 0).
  Matrix<float> up = decode(mlp.up.weight);
  Matrix<float> down = decode(mlp.down.weight);
  for (size_t i = 0; i < dead.size(); ++i) {
    if (i % 2 == 0) {
      std::fill_n(up.row(dead[i]), up.cols(), 0.0f);
      if (!mlp.up.bias.empty()) mlp.up.bias[static_cast<size_t>(dead[i])] = 0.0f;
    } else {
      for (int64_t r = 0; r < down.rows(); ++r) down(r, dead[i]) = 0.0f;
    }
  }
  mlp.up.weight = Weight::from_matrix(std::as_const(up).view());
  mlp.down.weight = Weight::from_matrix(std::as_const(down).view());
  const CalibrationSet set = random_calibration(4, 48);
  const StageSignals signals = signals_of(dense, set, 0, kMlp);
  const StreamCut cut = cut_stream(dense.blocks[0].stages[kMlp], signals.gram.view(), 43, 0.0);
  EXPECT_NEAR(cut.relative_error, 0.0, 1e-10);
  EXPECT_LT(logit_difference(dense, with_stage(dense, 0, kMlp, cut.stage), random_calibration(1, 48, 64, 9)),
            1e-5);
  const Matrix<float> kept = decode(std::get<Mlp>(cut.stage.branches[0]).gate.weight);
  const Matrix<float> gate = decode(mlp.gate.weight);
  int64_t row = 0;  // row of each neuron that is kept, in the old order
  for (int64_t r = 0; r < gate.rows(); ++r) {
    if (std::find(dead.begin(), dead.end(), r) != dead.end()) continue;
    EXPECT_TRUE(std::equal(gate.row(r), gate.row(r) + gate.cols(), kept.row(row))) << r;
    ++row;
  }
}

TEST_P(Streams, KeepsTheNeuronsOfLargestEnergy) {
  const Model dense = model();
  const CalibrationSet set = random_calibration(4, 48);
  const StageSignals signals = signals_of(dense, set, 0, kMlp);
  const Mlp& mlp = std::get<Mlp>(dense.blocks[0].stages[kMlp].branches[0]);
  const Matrix<float> down = decode(mlp.down.weight);
  std::vector<std::pair<double, int64_t>> energy;
  for (int64_t c = 0; c < down.cols(); ++c) {
    double norm = 0.0;
    for (int64_t r = 0; r < down.rows(); ++r) norm += static_cast<double>(down(r, c)) * down(r, c);
    double activation = 0.0;
    for (int64_t t = 0; t < signals.stream.rows(); ++t)
      activation += static_cast<double>(signals.stream(t, c)) * signals.stream(t, c);
    energy.emplace_back(-norm * activation, c);
  }
  std::sort(energy.begin(), energy.end());
  std::vector<int64_t> wanted;
  for (int64_t i = 0; i < 10; ++i) wanted.push_back(energy[static_cast<size_t>(i)].second);
  std::sort(wanted.begin(), wanted.end());
  const StreamCut cut = cut_stream(dense.blocks[0].stages[kMlp], signals.gram.view(), 10, 1e-3);
  const Matrix<float> kept = decode(std::get<Mlp>(cut.stage.branches[0]).up.weight);
  const Matrix<float> up = decode(mlp.up.weight);
  for (int64_t i = 0; i < 10; ++i)
    EXPECT_TRUE(std::equal(kept.row(i), kept.row(i) + kept.cols(), up.row(wanted[static_cast<size_t>(i)])));
}

TEST_P(Streams, ValueStreamOfLowRankIsCutToItExactly) {
  constexpr int64_t kRank = 3;
  Model dense = model();
  Attention& attention = attention_of(dense, 1);
  // v of every KV head: (dim, rank)·(rank, width); its bias in the same space.
  const Matrix<double> v = decode_f64(attention.v.weight);
  Matrix<double> low(v.rows(), v.cols());
  Rng rng(11);
  for (int64_t kv = 0; kv < attention.kv_heads; ++kv) {
    Matrix<double> left(attention.value_head_dim, kRank);
    for (int64_t i = 0; i < left.size(); ++i) left.data()[i] = rng.normal();
    gemm(false, false, 1.0, left.view(), v.view().rows_of(kv * attention.value_head_dim, kRank), 0.0,
         low.view().rows_of(kv * attention.value_head_dim, attention.value_head_dim));
    if (!attention.v.bias.empty())
      for (int64_t i = 0; i < left.rows(); ++i)
        attention.v.bias[static_cast<size_t>(kv * left.rows() + i)] = static_cast<float>(left(i, 0));
  }
  attention.v.weight = Weight::from_matrix(std::as_const(low).view());
  const CalibrationSet set = random_calibration(4, 48);
  const StageSignals signals = signals_of(dense, set, 1, kAttention);
  const Stage& original = dense.blocks[1].stages[kAttention];
  const StreamCut cut = cut_stream(original, signals.gram.view(), kRank, 0.0);
  EXPECT_NEAR(cut.relative_error, 0.0, 1e-7);
  EXPECT_EQ(stream_width(cut.stage), kRank);
  EXPECT_LT(logit_difference(dense, with_stage(dense, 1, kAttention, cut.stage), set), 1e-4);
  EXPECT_GT(cut_stream(original, signals.gram.view(), kRank - 1, 0.0).relative_error, 1e-3);
}

Model cut_streams(const Model& model, const CalibrationSet& set, const std::vector<int64_t>& widths,
                  Report& report) {
  WorkArea area;
  StageEditors editors;
  editors.push_back(stream_cutter(model, set, widths, 1e-3, area));
  return edit_stages(model, set, editors, area, report);
}

// Norms may stand behind the branches or the sums, and on queries and keys.
TEST(StreamCuts, FullWidthIsExactInEveryDesign) {
  const CalibrationSet set = random_calibration(4, 48);
  for (const TinyModelOptions& like :
       {opt_like(), phi_like(), qwen3_like(), olmo2_like(), post_norm_like()}) {
    SCOPED_TRACE(fmt::format("{} {}", like.architecture, static_cast<int>(like.design.norm_place)));
    const Model dense = make_tiny_model(like);
    std::vector<int64_t> widths;
    Model cut = dense;
    for (const StreamPlace place : streams_of(dense)) {
      widths.push_back(stream_width(stage_at(dense, place.stage), place.branch));
      WorkArea area;
      CalibrationWalk walk(set, dense.config, area, "walk", ComputeType::kF32);
      walk.start(dense);
      for (size_t before = 0; before < place.stage; ++before) walk.run(stage_at(dense, before), "before");
      const std::vector<Matrix<double>> grams = run_for_grams(
          stage_at(dense, place.stage), {place.branch}, walk.split(), [&](const Observer& observer) {
            walk.run(stage_at(dense, place.stage), "target", {observer, {}, {}});
          });
      Stage& target = stage_at(cut, place.stage);
      target = cut_stream(target, grams.front().view(), widths.back(), 0.0, place.branch).stage;
    }
    EXPECT_LT(logit_difference(dense, cut, set), 1e-5);
    // One unit less is another function.
    Report report;
    widths.front() -= 1;
    EXPECT_GT(logit_difference(dense, cut_streams(dense, set, widths, report), set), 1e-5);
    ASSERT_EQ(report.of("errors").size(), 1u);
    EXPECT_GT(report.of("errors").front()["relative_error"], 0.0);
  }
}

// A later cut sees the stream behind the cut stage, whether that was corrected or ran again.
TEST(StreamCuts, LaterCutsSeeTheEarlierOnesInEveryDesign) {
  const CalibrationSet set = random_calibration(4, 48);
  for (const TinyModelOptions& like : {TinyModelOptions{}, olmo2_like(), post_norm_like()}) {
    SCOPED_TRACE(like.architecture);
    const Model dense = make_tiny_model(like);
    const auto cut = [&](const std::vector<int64_t>& widths, const Model& model) {
      Report report;
      return cut_streams(model, set, widths, report);
    };
    // The streams are cut both at once, and the second on the result of the first.
    const Model both = cut({5, 48, 8, 30}, dense);
    const Model first = cut({5, 48, 8, 48}, dense);
    const Model second = cut({5, 48, 8, 30}, first);
    const bool rounds = calibration_compute() == ComputeType::kBF16;
    EXPECT_LT(logit_difference(both, second, set), rounds ? 0x1p-6 : 1e-4);
    EXPECT_GT(logit_difference(both, first, set), 0x1p-5);
  }
}

TEST(StreamCuts, AParallelStageHasTwoStreams) {
  const Model dense = make_tiny_model(phi_like());
  const CalibrationSet set = random_calibration(4, 48);
  const std::vector<StreamPlace> places = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
  EXPECT_EQ(streams_of(dense), places);
  WorkArea area;
  CalibrationWalk walk(set, dense.config, area, "walk", ComputeType::kF32);
  walk.start(dense);
  walk.run(dense.blocks[0].stages[0], "before");
  const Stage& stage = dense.blocks[1].stages[0];
  const std::vector<Matrix<double>> grams =
      run_for_grams(stage, {0, 1}, walk.split(), [&](const Observer& observer) {
        walk.peek(stage, "target", {observer, {}, {}});
      });
  Stage full = stage;
  Stage cut = stage;
  for (size_t branch = 0; branch < 2; ++branch) {
    EXPECT_EQ(stream_kind(stage, branch), branch == 0 ? StreamKind::kValue : StreamKind::kHidden);
    const int64_t width = stream_width(stage, branch);
    full = cut_stream(full, grams[branch].view(), width, 0.0, branch).stage;
    cut = cut_stream(cut, grams[branch].view(), width - 3, 1e-3, branch).stage;
    EXPECT_EQ(stream_width(cut, branch), width - 3);
  }
  EXPECT_LT(logit_difference(dense, with_stage(dense, 1, 0, full), set), 1e-5);
  EXPECT_EQ(model_size(dense).parameters - model_size(with_stage(dense, 1, 0, cut)).parameters,
            3 * (parameters_per_width(stage, 0) + parameters_per_width(stage, 1)));
}

TEST(StreamCuts, ASilentStreamIsCutWithoutHarm) {
  const Model dense = make_tiny_model();
  for (const size_t stage : {kAttention, kMlp}) {
    const Stage& original = dense.blocks[0].stages[stage];
    const Matrix<double> nothing = Matrix<double>::zeros(stream_columns(original), stream_columns(original));
    const StreamCut cut = cut_stream(original, nothing.view(), 4, 1e-3);
    EXPECT_EQ(cut.relative_error, 0.0);
    check_finite(with_stage(dense, 0, stage, cut.stage));
  }
}

}  // namespace
}  // namespace pare::test
