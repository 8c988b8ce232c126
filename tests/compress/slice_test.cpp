// The pass as a whole: options, targets, and the same bytes every time.
#include "compress/slice/slice.h"

#include <cstring>
#include <limits>

#include "checkpoint/save.h"
#include "compress/calibrated.h"
#include "compress/run_passes.h"
#include "compress/slice/slice_pass.h"
#include "model/visit.h"
#include "support/expect_error.h"

namespace pare::test {
namespace {

Model sliced_model(const Model& model, const CalibrationSet& set, const SliceOptions& options,
                   Report& report) {
  WorkArea area;
  Passes passes;
  passes.push_back(slice_pass(options));
  return run_passes(model, set, passes, area, report);
}

SliceOptions to_target(double share) {
  SliceOptions options;
  options.target_params = share;
  return options;
}

SliceOptions residual_to_target(double share, Rotation rotation) {
  SliceOptions options = to_target(share);
  options.residual = true;
  options.rotation = rotation;
  return options;
}

SliceOptions uniform_to_target(double share) {
  SliceOptions options = to_target(share);
  options.uniform = true;
  return options;
}

std::vector<SliceOptions> every_way(double share) {
  return {to_target(share), uniform_to_target(share), residual_to_target(share, Rotation::kBlock),
          residual_to_target(share, Rotation::kGlobal)};
}

// Returns the ways of slicing that a model can go.
std::vector<SliceOptions> every_way(double share, const TinyModelOptions& like) {
  std::vector<SliceOptions> ways = every_way(share);
  if (like.design.norm_place != NormPlace::kInput) ways.resize(2);
  return ways;
}

bool same_weights(const Model& a, const Model& b) {
  std::vector<std::pair<const void*, size_t>> parts;
  const auto collect = [&](const Model& model) {
    parts.clear();
    for_each_tensor(
        model,
        [&](const TensorPlace&, const Weight& w) {
          parts.emplace_back(w.data, static_cast<size_t>(w.bytes()));
        },
        [&](const TensorPlace&, const std::vector<float>& v) {
          parts.emplace_back(v.data(), v.size() * sizeof(float));
        });
    return parts;
  };
  const auto first = collect(a);
  const auto second = collect(b);
  return std::equal(first.begin(), first.end(), second.begin(), second.end(), [](auto x, auto y) {
    return x.second == y.second && std::memcmp(x.first, y.first, x.second) == 0;
  });
}

TEST(Slice, MeetsTheTargetAndReportsIt) {
  for (const TinyModelOptions& like : every_design())
    for (const double share : {0.97, 0.9, 0.8})
      for (SliceOptions options : every_way(share, like)) {
        const Model dense = make_tiny_model(like);
        const CalibrationSet set = random_calibration(6, 32);
        SCOPED_TRACE(fmt::format("{} {} {}", like.architecture, share, to_json(options).dump()));
        options.round_interval = 2;
        Report report;
        const Model sliced = sliced_model(dense, set, options, report);
        const int64_t before = model_size(dense).parameters;
        const int64_t after = model_size(sliced).parameters;
        EXPECT_LE(after, static_cast<int64_t>(share * static_cast<double>(before)));
        EXPECT_GT(after, static_cast<int64_t>((share - 0.09) * static_cast<double>(before)));
        EXPECT_EQ(report.before.parameters, before);
        EXPECT_EQ(report.after.parameters, after);
        check_finite(sliced);
      }
}

TEST(Slice, GivesTheSameBytesWithAnyNumberOfThreads) {
  const CalibrationSet set = random_calibration(6, 32);
  for (const TinyModelOptions& like : every_design())
    for (const SliceOptions& options : every_way(0.8, like)) {
      const Model dense = make_tiny_model(like);
      const auto with = [&](int threads) {
        const WithThreads scope(threads);
        Report report;
        Model sliced = sliced_model(dense, set, options, report);
        return std::make_pair(std::move(sliced), report.to_json().dump());
      };
      const auto one = with(1);
      const auto two = with(2);
      EXPECT_TRUE(same_weights(one.first, two.first));
      EXPECT_EQ(one.second, two.second);
      EXPECT_FALSE(same_weights(one.first, dense));
    }
}

TEST(Slice, UniformGivesAPlainModelOfOneHiddenWidth) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(6, 32);
  SliceOptions options;
  options.uniform = true;
  options.sparsity = 0.25;
  Report report;
  const Model sliced = sliced_model(dense, set, options, report);
  EXPECT_TRUE(is_plain(sliced));
  for (const BlockShape& block : sliced.config.blocks) {
    EXPECT_EQ(block.intermediate_size, 32);  // 36, down to a multiple of 8
    EXPECT_EQ(block.value_head_dim, 8);
  }
  EXPECT_EQ(report.recipe["uniform"], true);
  EXPECT_EQ(report.recipe["streams"], Json::array({"hidden"}));
  ASSERT_EQ(report.of("errors").size(), 2u);
  const Json& error = report.of("errors").front();
  EXPECT_EQ(error["name"], "layers.0.down");
  EXPECT_EQ(error["width_before"], 48);
  EXPECT_EQ(error["width_after"], 32);
  EXPECT_GT(error["relative_error"], 0.0);
  EXPECT_LT(error["relative_error"], 1.0);
}

TEST(Slice, CutsOnlyTheStreamsItIsTold) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(6, 32);
  for (const bool hidden : {true, false}) {
    SliceOptions options = to_target(0.95);
    options.round_interval = 1;
    options.hidden = hidden;
    options.value = !hidden;
    Report report;
    const Model sliced = sliced_model(dense, set, options, report);
    int64_t hidden_widths = 0;
    int64_t value_widths = 0;
    for (const BlockShape& block : sliced.config.blocks) {
      hidden_widths += block.intermediate_size;
      value_widths += block.value_head_dim;
    }
    EXPECT_EQ(hidden_widths < 2 * 48, hidden);
    EXPECT_EQ(value_widths < 2 * 8, !hidden);
  }
}

TEST(Slice, SparsityIsThatOfTheResidualWidth) {
  const Model dense = make_tiny_model();
  SliceOptions options;
  options.residual = true;
  for (const auto& [sparsity, width] :
       std::vector<std::pair<double, int64_t>>{{0.0, 32}, {0.25, 24}, {0.3, 16}}) {
    options.sparsity = sparsity;
    Report report;
    EXPECT_EQ(sliced_model(dense, random_calibration(2, 32), options, report).config.embedding_width, width);
    EXPECT_EQ(report.recipe["width"], width);
  }
}

TEST(Slice, SaysWhenATargetCannotBeMet) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(2, 16);
  Report report;
  for (const SliceOptions& options : every_way(0.01))
    EXPECT_PARE_ERROR(sliced_model(dense, set, options, report), ErrorCode::kInvalid, "");
  EXPECT_PARE_ERROR(sliced_model(dense, set, to_target(0.01), report), ErrorCode::kInvalid,
                    "parameters too many");
  EXPECT_PARE_ERROR(sliced_model(dense, set, residual_to_target(0.01, Rotation::kBlock), report),
                    ErrorCode::kInvalid, "no residual width of at least 8");
}

TEST(Slice, StreamsWithoutARotationAreRefusedWithTheReason) {
  const CalibrationSet set = random_calibration(2, 16);
  TinyModelOptions bare = opt_like();
  bare.final_norm = false;
  TinyModelOptions narrow = opt_like();
  narrow.embedding_width = 20;
  for (const auto& [like, reason] : std::vector<std::pair<TinyModelOptions, const char*>>{
           {olmo2_like(), "norms stand behind its branches"},
           {post_norm_like(), "norms stand behind the residual"},
           {bare, "by the head without a norm"},
           {narrow, "a matrix behind its embedding"}}) {
    const Model dense = make_tiny_model(like);
    for (const Rotation rotation : {Rotation::kBlock, Rotation::kGlobal}) {
      Report report;
      EXPECT_PARE_ERROR(sliced_model(dense, set, residual_to_target(0.9, rotation), report),
                        ErrorCode::kUnsupported, reason);
      EXPECT_PARE_ERROR(require_reachable(dense, residual_to_target(0.9, rotation)), ErrorCode::kUnsupported,
                        "`streams hidden,value`");
    }
  }
}

TEST(Slice, ModelsWithoutTheStreamAreRefused) {
  Model bare = make_tiny_model();
  for (Block& block : bare.blocks) block.stages[1].branches.clear();
  update_config(bare);
  const CalibrationSet set = random_calibration(2, 16);
  Report report;
  EXPECT_PARE_ERROR(sliced_model(bare, set, uniform_to_target(0.9), report), ErrorCode::kInvalid, "hidden");
  SliceOptions hidden = to_target(0.9);
  hidden.value = false;
  EXPECT_PARE_ERROR(sliced_model(bare, set, hidden, report), ErrorCode::kInvalid, "too many");
}

TEST(ValidateSliceOptions, NamesTheOption) {
  const auto expect = [](SliceOptions options, const char* message) {
    EXPECT_PARE_ERROR(validate(options), ErrorCode::kUsage, message);
  };
  const double nan = std::nan("");
  const double infinity = std::numeric_limits<double>::infinity();
  expect({}, "either `target_params` or `sparsity`");
  SliceOptions both = to_target(0.5);
  both.sparsity = 0.5;
  expect(both, "either `target_params` or `sparsity`");
  for (const double bad : {0.0, 1.0, 1.5, -0.1, nan, infinity}) expect(to_target(bad), "`target_params` is");
  for (const double bad : {1.0, -1.0, nan, infinity}) {
    SliceOptions options = residual_to_target(0.5, Rotation::kBlock);
    options.target_params.reset();
    options.sparsity = bad;
    expect(options, "`sparsity` is");
  }
  for (const double bad : {-1e-9, nan, infinity}) {
    SliceOptions options = to_target(0.5);
    options.ridge = bad;
    expect(options, "`ridge` is");
  }
  for (const int64_t bad : {0, -8}) {
    SliceOptions options = to_target(0.5);
    options.round_interval = bad;
    expect(options, "`round_interval` is");
  }
  SliceOptions nothing = to_target(0.5);
  nothing.hidden = nothing.value = false;
  expect(nothing, "`streams` names nothing");
  SliceOptions uniform = residual_to_target(0.5, Rotation::kGlobal);
  uniform.uniform = true;
  expect(uniform, "`uniform`");
  SliceOptions values = uniform_to_target(0.5);
  values.hidden = false;
  expect(values, "`uniform`");
  SliceOptions sparse = to_target(0.5);
  sparse.target_params.reset();
  sparse.sparsity = 0.25;
  expect(sparse, "`sparsity` needs `rotation` or `uniform`");
  for (const SliceOptions& good : every_way(0.5)) validate(good);
}

}  // namespace
}  // namespace pare::test
