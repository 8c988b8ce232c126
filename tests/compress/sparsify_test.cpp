// The pass as a whole.
#include "compress/sparsify/sparsify.h"

#include <gtest/gtest.h>

#include <set>

#include "compress/calibrated.h"
#include "compress/run_passes.h"
#include "compress/slice/slice_pass.h"
#include "compress/sparsify/pattern_choice.h"
#include "compress/sparsify/sparsify_pass.h"
#include "model/visit.h"
#include "support/expect_error.h"

namespace pare::test {
namespace {

Model sparse_model(const Model& model, const CalibrationSet& set, const SparsifyOptions& options,
                   Report& report) {
  WorkArea area;
  Passes passes;
  passes.push_back(sparsify_pass(options));
  return run_passes(model, set, passes, area, report);
}

SparsifyOptions with_method(SparseMethod method) {
  SparsifyOptions options;
  options.prune.score.method = method;
  return options;
}

// Linears of the blocks whose every group of M has at most N values that are not zero.
int64_t sparse_linears(const Model& model, Pattern pattern) {
  int64_t count = 0;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages)
      for_each_linear(stage, [&](Role, const Linear& linear) {
        const Matrix<float> values = decode(linear.weight);
        bool sparse = values.cols() % pattern.group == 0;
        for (int64_t r = 0; r < values.rows(); ++r)
          for (int64_t c = 0; sparse && c < values.cols(); c += pattern.group) {
            int32_t kept = 0;
            for (int32_t i = 0; i < pattern.group; ++i) kept += values(r, c + i) != 0.0f ? 1 : 0;
            sparse = sparse && kept <= pattern.kept;
          }
        count += sparse ? 1 : 0;
      });
  return count;
}

const std::vector<SparsifyOptions>& every_way() {
  static const std::vector<SparsifyOptions> kWays = [] {
    std::vector<SparsifyOptions> ways;
    for (const SparseMethod method : {SparseMethod::kMagnitude, SparseMethod::kWanda, SparseMethod::kRia,
                                      SparseMethod::kEsparse, SparseMethod::kSparseGpt, SparseMethod::kAlps})
      ways.push_back(with_method(method));
    ways.push_back(with_method(SparseMethod::kWanda));
    ways.back().sequential = false;
    ways.push_back(with_method(SparseMethod::kEsparse));
    ways.back().shuffle = {true, true, 256};
    ways.back().prune.update = WeightUpdate::kObs;
    ways.push_back(with_method(SparseMethod::kWanda));
    ways.back().shuffle = {false, true, 16, true};
    ways.push_back(with_method(SparseMethod::kSparseGpt));
    ways.back().match = MatchOutput::kModel;
    ways.back().shuffle = {true, false, 256};
    ways.back().prune.update = WeightUpdate::kRefit;
    ways.back().prune.swap_rounds = 2;
    return ways;
  }();
  return kWays;
}

TEST(Sparsify, EveryLinearFollowsThePatternAndIsReported) {
  const CalibrationSet set = random_calibration(6, 32);
  for (const TinyModelOptions& like : {TinyModelOptions{}, TinyModelOptions{.biases = true}, opt_like(),
                                       phi_like(), qwen3_like(), olmo2_like(), post_norm_like()}) {
    const Model dense = make_tiny_model(like);
    const int64_t linears = like.design.gated ? 14 : 12;
    for (const SparsifyOptions& options : every_way()) {
      SCOPED_TRACE(fmt::format("{} {}", like.architecture, to_json(options).dump()));
      Report report;
      const Model sparse = sparse_model(dense, set, options, report);
      EXPECT_EQ(sparse_linears(sparse, k2of4), linears);
      EXPECT_EQ(report.of("sparsity").size(), static_cast<size_t>(linears));
      for (const Json& entry : report.of("sparsity")) {
        EXPECT_GT(entry["relative_error"], 0.0) << entry["name"];
        EXPECT_LT(entry["relative_error"], 1.0) << entry["name"];
      }
      EXPECT_EQ(report.checks.empty(), !options.shuffle.any());
    }
  }
}

TEST(Sparsify, UpdatesBringOutputsCloserThanMasksAlone) {
  const Model dense = make_tiny_model({.layers = 3});
  const CalibrationSet set = random_calibration(24, 64);
  const auto difference = [&](const SparsifyOptions& options) {
    Report report;
    return logit_difference(dense, sparse_model(dense, set, options, report), set);
  };
  const double magnitude = difference(with_method(SparseMethod::kMagnitude));
  const double sparsegpt = difference(with_method(SparseMethod::kSparseGpt));
  EXPECT_LT(sparsegpt, magnitude);
}

// With 3:4 in one layer only, what follows must win back some of what it lost, with biases as without.
TEST(Sparsify, MatchingTheModelMakesUpForEarlierErrors) {
  for (TinyModelOptions like : {TinyModelOptions{}, TinyModelOptions{.biases = true}, opt_like(), phi_like(),
                                qwen3_like(), olmo2_like(), post_norm_like()}) {
    SCOPED_TRACE(like.architecture);
    like.layers = 4;
    const Model dense = make_tiny_model(like);
    const CalibrationSet set = random_calibration(64, 64);
    const auto stream_error = [&](MatchOutput match) {
      SparsifyOptions options = with_method(SparseMethod::kSparseGpt);
      options.prune.pattern = {3, 4};
      options.match = match;
      Report report;
      const Model sparse = sparse_model(dense, set, options, report);
      WorkArea area;
      CalibrationWalk a(set, dense.config, area, "a", ComputeType::kF32);
      CalibrationWalk b(set, dense.config, area, "b", ComputeType::kF32);
      a.start(dense);
      b.start(sparse);
      for (size_t block = 0; block < dense.blocks.size(); ++block)
        for (size_t stage = 0; stage < dense.blocks[block].stages.size(); ++stage) {
          a.run(dense.blocks[block].stages[stage], "dense");
          b.run(sparse.blocks[block].stages[stage], "sparse");
        }
      const Matrix<float> x = stream_of(a);
      const Matrix<float> y = stream_of(b);
      double sum = 0.0;
      for (int64_t i = 0; i < x.size(); ++i) {
        const double d = static_cast<double>(x.data()[i]) - static_cast<double>(y.data()[i]);
        sum += d * d;
      }
      return sum;
    };
    EXPECT_LT(stream_error(MatchOutput::kModel), 0.95 * stream_error(MatchOutput::kLayer));
  }
}

// The branches of one layer hardly write anything, those of others do: that layer becomes sparse.
TEST(Sparsify, ABudgetOfBytesIsSpentWherePredictionsSuffer) {
  Model dense = make_tiny_model({.layers = 3});
  for (Stage& stage : dense.blocks[1].stages)
    for_each_linear(stage, [&](Role role, Linear& linear) {
      if (!writes_residual(role)) return;
      Matrix<float> values = decode(linear.weight);
      for (int64_t i = 0; i < values.size(); ++i) values.data()[i] *= 1e-3f;
      linear.weight = Weight::from_matrix(std::as_const(values).view());
    });
  const CalibrationSet set = random_calibration(6, 32);
  SparsifyOptions options = with_method(SparseMethod::kWanda);
  options.mix = {kDense};
  const auto stages_of = [&](double target) {
    options.target_bytes = target;
    WorkArea area;
    std::vector<Pattern> patterns = choose_patterns(dense, set, options, {}, area);
    std::vector<int> sparse;
    for (size_t s = 0; s < patterns.size(); ++s)
      if (!patterns[s].dense()) sparse.push_back(static_cast<int>(s));
    return sparse;
  };
  // The quiet layer can give a sixth of the stages' bytes, and hardly more.
  EXPECT_EQ(stages_of(1.0), std::vector<int>{});
  EXPECT_EQ(stages_of(0.99).size(), 1u);
  const std::vector<int> first = stages_of(0.93);
  for (const int stage : first) EXPECT_EQ(stage / 2, 1);
  EXPECT_FALSE(first.empty());
  EXPECT_PARE_ERROR(stages_of(0.2), ErrorCode::kInvalid, "with 2:4 everywhere the model keeps 0.");
  options.target_bytes = 0.93;
  Report report;
  const Model sparse = sparse_model(dense, set, options, report);
  EXPECT_EQ(sparse_linears(sparse, k2of4), static_cast<int64_t>(report.of("sparsity").size()));
  for (const Json& entry : report.of("sparsity"))
    EXPECT_EQ(entry["name"].get<std::string>().substr(0, 9), "layers.1.");
  options.mix = {kDense, {1, 4}};
  options.target_bytes = 0.5;
  Report both;
  sparse_model(dense, set, options, both);
  std::set<std::string> patterns;
  for (const Json& entry : both.of("sparsity")) patterns.insert(entry["pattern"].get<std::string>());
  EXPECT_EQ(patterns, (std::set<std::string>{"1:4", "2:4"}));
}

TEST(Sparsify, TargetsAndIgnoreChooseLinears) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(2, 16);
  const auto names = [&](std::vector<std::string> targets, std::vector<std::string> ignore) {
    SparsifyOptions options = with_method(SparseMethod::kWanda);
    options.targets = std::move(targets);
    options.ignore = std::move(ignore);
    Report report;
    sparse_model(dense, set, options, report);
    std::vector<std::string> found;
    for (const Json& entry : report.of("sparsity")) found.push_back(entry["name"].get<std::string>());
    return found;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names({"down"}, {}), (Names{"layers.0.down", "layers.1.down"}));
  EXPECT_EQ(names({"layers\\.1\\..*"}, {"q", ".*k_proj\\.weight", "gate|up", "o"}),
            (Names{"layers.1.v", "layers.1.down"}));
  EXPECT_PARE_ERROR(names({"nothing"}, {}), ErrorCode::kInvalid, "leave no linear");
  EXPECT_PARE_ERROR(names({"("}, {}), ErrorCode::kUsage, "'('");
}

TEST(Sparsify, ShapesThatThePatternDoesNotDivideAreNamed) {
  const Model dense = make_tiny_model({.intermediate = 46});
  const CalibrationSet set = random_calibration(2, 16);
  SparsifyOptions options = with_method(SparseMethod::kWanda);
  Report report;
  EXPECT_PARE_ERROR(sparse_model(dense, set, options, report), ErrorCode::kInvalid, "layers.0.down has 46");
  options.ignore = {"down"};
  EXPECT_EQ(sparse_linears(sparse_model(dense, set, options, report), k2of4), 12);  // all but down
}

TEST(Sparsify, SameBytesForEveryThreadCount) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(4, 32);
  for (const SparsifyOptions& options : every_way()) {
    Matrix<float> logits[2];
    for (int i = 0; i < 2; ++i) {
      const WithThreads threads(i + 1);
      Report report;
      logits[i] = probe_logits(sparse_model(dense, set, options, report), set);
    }
    EXPECT_TRUE(std::equal(logits[0].data(), logits[0].data() + logits[0].size(), logits[1].data()));
  }
}

TEST(RunPasses, SlicesThenMakesSparseInOneRun) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(6, 32);
  SliceOptions slicing;
  slicing.target_params = 0.9;
  slicing.value = false;
  slicing.round_interval = 4;
  Passes passes;
  passes.push_back(slice_pass(slicing));
  passes.push_back(sparsify_pass(with_method(SparseMethod::kSparseGpt)));
  WorkArea area;
  Report report;
  const Model result = run_passes(dense, set, passes, area, report);
  EXPECT_EQ(sparse_linears(result, k2of4), 14);
  EXPECT_LT(report.after.parameters, report.before.parameters);
  EXPECT_EQ(report.recipe["passes"][0]["method"], "slice");
  EXPECT_EQ(report.recipe["passes"][1]["method"], "sparsify");
  EXPECT_EQ(report.recipe["calibration"]["nsamples"], 6);
  EXPECT_EQ(options_of(passes).size(), 2u);
}

TEST(RunPasses, EditsStagesInOneWalkUnlessTheSecondPassNeedsTheWholeFirst) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(6, 32);
  SliceOptions slicing;
  slicing.target_params = 0.9;
  slicing.value = false;  // an output that is corrected has other roundings than one that is run again
  slicing.round_interval = 4;
  SparsifyOptions sparse = with_method(SparseMethod::kSparseGpt);
  // Targets are in the last stage: no sparse linear is before a cut, so one walk must give what two give.
  sparse.targets = {R"(layers\.1\.(gate|up|down))"};
  for (const bool matched : {false, true}) {
    sparse.match = matched ? MatchOutput::kModel : MatchOutput::kLayer;
    const auto run = [&](const Model& model, bool first, bool second, bool budget, size_t walks) {
      Passes passes;
      if (first) passes.push_back(slice_pass(slicing));
      if (second) {
        SparsifyOptions options = sparse;
        if (budget) options.mix = {kDense};
        if (budget) options.target_bytes = 0.95;
        passes.push_back(sparsify_pass(options));
      }
      WorkArea area;
      Report report;
      Model result = run_passes(model, set, passes, area, report);
      size_t walked = 0;
      for (const char* scope : {"", "1-slice", "2-sparsify"}) {
        area.enter(scope);
        if (area.find("stages/0") != nullptr) ++walked;
      }
      EXPECT_EQ(walked, walks);
      EXPECT_FALSE(report.of("errors").empty() && first);
      EXPECT_FALSE(report.of("sparsity").empty() && second);
      return result;
    };
    const Matrix<float> together = probe_logits(run(dense, true, true, false, 1), set);
    run(dense, true, true, true, 2);
    const Model sliced = run(dense, true, false, false, 1);
    const Matrix<float> apart = probe_logits(run(sliced, false, true, false, 1), set);
    const bool same = std::equal(together.data(), together.data() + together.size(), apart.data());
    // Matched to the model as it was, the last layer makes up for what slicing lost as well.
    EXPECT_EQ(same, !matched);
    if (!matched) continue;
    const Matrix<float> wanted = probe_logits(dense, set);
    const auto distance = [&](const Matrix<float>& logits) {
      double sum = 0.0;
      for (int64_t i = 0; i < wanted.size(); ++i)
        sum += std::pow(static_cast<double>(logits.data()[i]) - wanted.data()[i], 2.0);
      return sum;
    };
    EXPECT_LT(distance(together), distance(apart));
  }
}

TEST(ValidateSparsifyOptions, NamesTheOption) {
  const auto expect = [](const SparsifyOptions& options, const char* message) {
    EXPECT_PARE_ERROR(validate(options), ErrorCode::kUsage, message);
  };
  SparsifyOptions bins;
  bins.prune.score.bins = 0;
  expect(bins, "`bins`");
  for (const double bad : {-1.0, std::nan(""), HUGE_VAL}) {
    SparsifyOptions alpha;
    alpha.prune.score.alpha = bad;
    expect(alpha, "`alpha`");
    SparsifyOptions damping;
    damping.damping = bad;
    expect(damping, "`damping`");
    SparsifyOptions matching;
    matching.match_damping = bad;
    expect(matching, "`match_damping`");
  }
  SparsifyOptions match;
  match.match = MatchOutput::kModel;
  match.sequential = false;
  expect(match, "`match model`");
  SparsifyOptions mixed;
  mixed.mix = {kDense};
  expect(mixed, "`mix` and `target_bytes`");
  mixed.target_bytes = 1.5;
  expect(mixed, "`target_bytes` is 1.5");
  mixed.target_bytes = 0.5;
  mixed.mix = {{4, 8}};
  expect(mixed, "patterns 4:8 and 2:4 keep the same");
}

}  // namespace
}  // namespace pare::test
