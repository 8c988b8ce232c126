// Recovery of compressed models by training.
#include "compress/recover/recover.h"

#include <gtest/gtest.h>

#include "compress/calibrated.h"
#include "compress/kept_patterns.h"
#include "compress/quantize/rounding_costs.h"
#include "compress/recover/recover_pass.h"
#include "compress/recover/stage_recovery.h"
#include "compress/run_passes.h"
#include "compress/slice/slice_pass.h"
#include "compress/sparsify/sparsify_pass.h"
#include "model/visit.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "tensor/sparse_weight.h"

namespace pare::test {
namespace {

RecoverOptions some_steps(int64_t steps) {
  RecoverOptions options;
  options.steps = steps;
  options.batch_tokens = 96;
  options.rate = 2e-2;
  options.average = 0.5;
  options.checks = 4;
  options.held_back_tokens = 96;
  return options;
}

Passes recipe(std::unique_ptr<Pass> first, const RecoverOptions& options) {
  Passes passes;
  if (first) passes.push_back(std::move(first));
  passes.push_back(recover_pass(options));
  return passes;
}

std::unique_ptr<Pass> sparsify_2_of_4() {
  SparsifyOptions options;
  options.prune.score.method = SparseMethod::kWanda;
  return sparsify_pass(options);
}

std::unique_ptr<Pass> slice_to(double share) {
  SliceOptions options;
  options.target_params = share;
  options.round_interval = 4;
  return slice_pass(options);
}

double kl_of(const Report& report, size_t check) {
  return report.of("recovery").at(check).at("kl").get<double>();
}

double least_kl(const Report& report) {
  double least = kl_of(report, 0);
  for (size_t i = 1; i < report.of("recovery").size(); ++i) least = std::min(least, kl_of(report, i));
  return least;
}

TEST(Recover, LowersTheLossOfSparseModelsAndKeepsTheirPattern) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(32, 24);
  WorkArea area;
  Report report;
  const Model result = run_passes(dense, set, recipe(sparsify_2_of_4(), some_steps(40)), area, report);
  EXPECT_EQ(report.of("recovery").size(), 5u);
  EXPECT_LT(least_kl(report), 0.8 * kl_of(report, 0));
  EXPECT_EQ(linears_by_pattern(result).at("2:4"), 14);
  // The model that is returned has the least loss that was measured.
  WorkArea again;
  Report once_more;
  RecoverOptions one = some_steps(1);
  one.code_rate = one.scale_rate = one.rate = 1e-12;
  PassProgress none;
  Model copy = result;
  recover(copy, dense, one, {set, set, dense, again, once_more, none, {}});
  EXPECT_NEAR(kl_of(once_more, 0), least_kl(report), 1e-6);
}

TEST(Recover, WorksOnEveryDesign) {
  for (const TinyModelOptions& like : every_design()) {
    SCOPED_TRACE(like.architecture);
    const Model dense = make_tiny_model(like);
    const CalibrationSet set = random_calibration(48, 24, like.vocab);
    RecoverOptions options = some_steps(60);
    options.rate = 5e-4;
    WorkArea area;
    Report report;
    const Model result = run_passes(dense, set, recipe(slice_to(0.8), options), area, report);
    EXPECT_LT(least_kl(report), kl_of(report, 0));
    EXPECT_EQ(result.head.empty(), dense.head.empty());
    EXPECT_EQ(report.fallbacks, std::vector<std::string>());
  }
}

// A student that is its teacher has nothing to learn: no step is better.
TEST(Recover, KeepsAModelThatNoStepBetters) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(8, 24);
  WorkArea area;
  Report report;
  PassProgress none;
  Model model = dense;
  recover(model, dense, some_steps(8), {set, set, dense, area, report, none, {}});
  EXPECT_EQ(model.embedding.data, dense.embedding.data);
  EXPECT_EQ(report.fallbacks.size(), 1u);
}

TEST(Recover, StopsWhereTheLossGrowsAndKeepsTheBest) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(16, 24);
  RecoverOptions options = some_steps(40);
  options.rate = 1.0;
  WorkArea area;
  Report report;
  run_passes(dense, set, recipe(slice_to(0.85), options), area, report);
  ASSERT_FALSE(report.fallbacks.empty());
  EXPECT_NE(report.fallbacks.front().find("training stopped at step"), std::string::npos)
      << report.fallbacks.front();
}

RecoverOptions by_stages(int64_t steps) {
  RecoverOptions options = some_steps(steps);
  options.scope = RecoverScope::kStages;
  return options;
}

// Returns the mean KL of a model's predictions from the teacher's on the set.
double kl_of_model(const Model& model, const Model& teacher, const CalibrationSet& set) {
  WorkArea area;
  Report report;
  RecoverOptions options = some_steps(1);
  options.rate = 0.0;
  PassProgress none;
  Model copy = model;
  recover(copy, teacher, options, {set, set, teacher, area, report, none, {}});
  return kl_of(report, 0);
}

TEST(Recover, BringsStagesCloserToTheTeachers) {
  for (const TinyModelOptions& like : every_design()) {
    SCOPED_TRACE(like.architecture);
    const Model dense = make_tiny_model(like);
    const CalibrationSet set = random_calibration(32, 24, like.vocab);
    WorkArea area;
    Report report;
    Passes sparse_only;
    sparse_only.push_back(sparsify_2_of_4());
    const Model sparse = run_passes(dense, set, sparse_only, area, report);
    WorkArea again;
    Report trained;
    const Model result = run_passes(dense, set, recipe(sparsify_2_of_4(), by_stages(40)), again, trained);
    EXPECT_EQ(trained.of("recovery").size(), 2 * dense.blocks.front().stages.size());
    for (const Json& entry : trained.of("recovery"))
      EXPECT_LE(entry["relative_error"], entry["relative_error_before"]) << entry.dump();
    EXPECT_EQ(linears_by_pattern(result), linears_by_pattern(sparse));
    EXPECT_LT(kl_of_model(result, dense, set), 0.9 * kl_of_model(sparse, dense, set));
  }
}

TEST(Recover, StagesNeedTheTeachersWidths) {
  const Model dense = make_tiny_model();
  TinyModelOptions narrow;
  narrow.width = 24;
  EXPECT_PARE_ERROR(require_same_streams(make_tiny_model(narrow), dense), ErrorCode::kInvalid,
                    "scope stages");
  require_same_streams(dense, dense);
}

// A model that computes the teacher's function in another order of its channels has other streams.
TEST(Recover, StagesNeedTheTeachersChannels) {
  const Model dense = make_tiny_model();
  Model shuffled = dense;
  Matrix<float> embedding = decode(dense.embedding);
  for (int64_t r = 0; r < embedding.rows(); ++r)
    std::reverse(embedding.row(r), embedding.row(r) + embedding.cols());
  shuffled.embedding = Weight::from_matrix(std::as_const(embedding).view());
  EXPECT_PARE_ERROR(require_same_streams(shuffled, dense), ErrorCode::kInvalid, "shuffle none");
}

// Patterns stay where 16 bits save nothing by them, and where the zeros are codes, though the teacher has
// other values there.
TEST(Recover, KeepsThePatternsOfAnyStorage) {
  TinyModelOptions like;
  like.intermediate = 64;
  const Model dense = make_tiny_model(like);
  const CalibrationSet set = random_calibration(12, 24);
  const auto trained = [&](const Pattern& pattern, std::optional<Encoding> codes) {
    Model sparse = dense;
    for (Block& block : sparse.blocks)
      for (Stage& stage : block.stages)
        for_each_linear(stage, [&](Role role, Linear& linear) {
          Matrix<float> values = decode(linear.weight);
          for (int64_t r = 0; r < values.rows(); ++r)
            for (int64_t c = 0; c < values.cols(); ++c)
              if (c % pattern.group >= pattern.kept) values(r, c) = 0.0f;
          linear.weight = Weight::from_matrix(std::as_const(values).view());
          linear.weight = codes ? rounded_alone(linear.weight, *codes, {})
                                : to_pattern(linear.weight, pattern, role_name(role));
        });
    WorkArea area;
    Report report;
    const PassProgress none;
    RecoverOptions options = some_steps(8);
    options.code_rate = options.scale_rate = 2e-2;
    Model result = sparse;
    recover(result, dense, options, {set, set, dense, area, report, none, {}});
    EXPECT_LT(least_kl(report), kl_of(report, 0));
    for (size_t b = 0; b < result.blocks.size(); ++b)
      for (const Stage& stage : result.blocks[b].stages)
        for_each_linear(stage, [&](Role role, const Linear& linear) {
          const Matrix<float> values = decode(linear.weight);
          for (int64_t r = 0; r < values.rows(); ++r)
            for (int64_t c = 0; c < values.cols(); ++c)
              ASSERT_TRUE(c % pattern.group < pattern.kept || values(r, c) == 0.0f) << role_name(role);
        });
  };
  trained({15, 16}, std::nullopt);
  trained(k2of4, Encoding::kQ4_0);
}

// Returns the entries of stages trained on a teacher for one step that changes nothing.
std::vector<Json> stages_beside(const Model& model, const Model& teacher) {
  const CalibrationSet set = random_calibration(8, 24);
  WorkArea area;
  Report report;
  PassProgress none;
  RecoverOptions options = by_stages(1);
  options.rate = 0.0;
  StageEditors editors;
  editors.push_back(
      recover_stages(teacher, model.config, options, {set, set, teacher, area, report, none, {}}));
  edit_stages(model, set, editors, area, report, none);
  return report.of("recovery");
}

TEST(Recover, StagesFollowTheTeachersOwnConfiguration) {
  const Model model = make_tiny_model();
  Model teacher = model;
  EXPECT_LT(stages_beside(model, teacher).front()["relative_error_before"], 1e-3);
  teacher.config.rope.theta = 20.0;
  EXPECT_GT(stages_beside(model, teacher).front()["relative_error_before"], 1e-2);
  // Norms behind the branches, as the teacher has them, are not the model's.
  TinyModelOptions olmo2 = olmo2_like();
  olmo2.width = 32;
  EXPECT_EQ(stages_beside(model, make_tiny_model(olmo2)).size(), 4u);
  EXPECT_EQ(stages_beside(make_tiny_model(olmo2), model).size(), 4u);
}

class Killed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void expect_same_bytes_after_kills(RecoverOptions options, const TinyModelOptions& like = {}) {
  const Model dense = make_tiny_model(like);
  const CalibrationSet set = random_calibration(12, 24);
  options.checkpoint_seconds = 0.0;
  const TempDir folder;
  const auto result_of = [&](WorkArea& area) {
    Report report;
    const Model model = run_passes(dense, set, recipe(sparsify_2_of_4(), options), area, report);
    return all_bytes(model) + report.to_json().dump();
  };
  int64_t records = 0;
  std::string expected;
  {
    WorkArea area(folder / "whole", Encoding::kBF16, false);
    area.before_record([&] { ++records; });
    expected = result_of(area);
  }
  ASSERT_GT(records, 6);
  for (int64_t run = 0; run <= records; ++run) {
    WorkArea area(folder / "parts", Encoding::kBF16, false);
    int64_t left = 1;
    area.before_record([&] {
      if (left-- == 0) throw Killed("killed");
    });
    try {
      EXPECT_TRUE(result_of(area) == expected) << run;
      EXPECT_GE(run, records - 1);
    } catch (const Killed&) {
      EXPECT_LT(run, records - 1);
    }
  }
}

TEST(Recover, GoesOnWithTheSameBytes) {
  expect_same_bytes_after_kills(some_steps(6));
  expect_same_bytes_after_kills(by_stages(6));
  expect_same_bytes_after_kills(by_stages(6), olmo2_like());  // with norms of queries and keys
}

// A finished training is not made again, whether it bettered the model or not.
TEST(Recover, TrainsOnceWhenARunGoesOn) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(8, 24);
  const TempDir folder;
  int64_t steps = 0;
  const PassProgress count = [&](const std::string& activity, int64_t, int64_t) {
    if (activity == "training") ++steps;
  };
  std::string expected;
  for (int run = 0; run < 2; ++run) {
    WorkArea area(folder / "work", Encoding::kBF16, false);
    Report report;
    Model model = dense;
    recover(model, dense, some_steps(4), {set, set, dense, area, report, count, {}});
    if (run == 0) expected = report.to_json().dump();
    EXPECT_EQ(report.to_json().dump(), expected);
  }
  EXPECT_EQ(steps, 4);
}

TEST(Recover, GivesTheSameBytesOnAnyNumberOfThreads) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(12, 24);
  const auto result_on = [&](int threads, const RecoverOptions& options) {
    const int before = thread_count();
    set_thread_count(threads);
    WorkArea area;
    Report report;
    const Model model = run_passes(dense, set, recipe(slice_to(0.9), options), area, report);
    set_thread_count(before);
    return all_bytes(model) + report.to_json().dump();
  };
  for (const RecoverOptions& options : {some_steps(6), by_stages(6)})
    EXPECT_TRUE(result_on(1, options) == result_on(3, options));
}

TEST(Recover, RefusesOptionsOutOfRange) {
  const auto refused = [](auto&& change) {
    RecoverOptions options;
    change(options);
    EXPECT_PARE_ERROR(recover_pass(options), ErrorCode::kUsage, "expected");
  };
  refused([](RecoverOptions& o) { o.steps = 0; });
  refused([](RecoverOptions& o) { o.batch_tokens = 0; });
  refused([](RecoverOptions& o) { o.steps = o.batch_tokens = int64_t{1} << 32; });
  refused([](RecoverOptions& o) { o.held_back_tokens = int64_t{1} << 41; });
  refused([](RecoverOptions& o) { o.checks = 0; });
  refused([](RecoverOptions& o) { o.held_back_tokens = 0; });
  refused([](RecoverOptions& o) { o.rate = -1e-4; });
  refused([](RecoverOptions& o) { o.code_rate = std::nan(""); });
  refused([](RecoverOptions& o) { o.scale_rate = 1.5; });
  refused([](RecoverOptions& o) { o.embedding_rate = -0.1; });
  refused([](RecoverOptions& o) { o.average = 1.0; });
}

}  // namespace
}  // namespace pare::test
