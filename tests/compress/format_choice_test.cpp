// Formats under a budget of bytes: what they are foreseen to cost, and what is chosen.
#include "compress/quantize/format_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "compress/calibrated.h"
#include "compress/quantize/quantize_pass.h"
#include "compress/run_passes.h"
#include "compress/walk/model_losses.h"
#include "kernels/log_sum_exp.h"
#include "support/expect_error.h"
#include "support/run_model.h"
#include "support/temp_dir.h"

namespace pare::test {
namespace {

constexpr Encoding kOptions[] = {Encoding::kQ3N, Encoding::kQ4N, Encoding::kQ8_0};

QuantizeOptions within(int64_t bytes) {
  QuantizeOptions options;
  options.method = RoundingMethod::kWeighted;
  options.budget =
      FormatBudget{.bytes = bytes, .ratio = {}, .decode = {}, .loadable = Loadable::kPare, .formats = {}};
  return options;
}

Model compressed(const Model& model, const CalibrationSet& set, const QuantizeOptions& options,
                 Report& report, WorkArea& area) {
  Passes passes;
  passes.push_back(quantize_pass(options));
  return run_passes(model, set, passes, area, report);
}
Model compressed(const Model& model, const CalibrationSet& set, const QuantizeOptions& options,
                 Report& report) {
  WorkArea area;
  return compressed(model, set, options, report, area);
}

int64_t bytes_in(const Model& model, const char* format) {
  Report report;
  QuantizeOptions options;
  options.method = RoundingMethod::kNearest;
  options.format = QuantizeScheme(format);
  return model_size(compressed(model, random_calibration(2, 16), options, report)).bytes;
}

Weight& weight_of(Model& model, const MatrixName& name) {
  if (name.second < 0) return name.first == Role::kHead ? model.head : model.embedding;
  Weight* found = nullptr;
  for (Stage& stage : model.blocks[static_cast<size_t>(name.second)].stages)
    for_each_linear(stage, [&](Role role, Linear& linear) {
      if (role == name.first) found = &linear.weight;
    });
  return *found;
}

TEST(ModelLosses, AreTheDivergenceOfWholeModels) {
  const Model model = make_tiny_model(wide());
  const CalibrationSet set = random_calibration(3, 20);
  Model others[] = {model, model, model};
  std::get<Mlp>(others[1].blocks[1].stages[1].branches[0]).up.weight =
      rounded_alone(std::get<Mlp>(model.blocks[1].stages[1].branches[0]).up.weight, Encoding::kQ3N, {});
  others[2].embedding = rounded_alone(model.embedding, Encoding::kQ3N, {});
  const std::vector<double> losses = model_losses(model, others, set);
  EXPECT_EQ(losses[0], 0.0);
  for (size_t m = 1; m < 3; ++m) {
    double sum = 0.0;
    for (const std::vector<int32_t>& sequence : set.sequences) {
      const Matrix<float> p = run_model(model, sequence);
      const Matrix<float> q = run_model(others[m], sequence);
      for (int64_t t = 0; t < p.rows(); ++t) {
        const std::span<const float> row(q.row(t), static_cast<size_t>(q.cols()));
        sum += ReferenceRow(std::span<const float>(p.row(t), row.size())).kl(row, log_sum_exp(row));
      }
    }
    EXPECT_NEAR(losses[m], sum / 60.0, 0.1 * sum / 60.0) << m;
    EXPECT_GT(losses[m], 1e-6);
  }
}

// Every matrix is rounded alone, and the divergence that this makes is measured on the same tokens.
TEST(RoundingCosts, ForeseeTheDivergenceOfEachMatrix) {
  for (const TinyModelOptions& like :
       {TinyModelOptions{}, TinyModelOptions{.tied = false}, phi_like(), qwen3_like(), olmo2_like()}) {
    SCOPED_TRACE(fmt::format("{} {}", like.architecture, like.tied));
    const Model model = make_tiny_model(wide(like));
    const CalibrationSet set = random_calibration(24, 64);
    QuantizeOptions options = within(1);
    options.budget->formats.assign(std::begin(kOptions), std::end(kOptions));
    const std::vector<RoundingUnit> units = rounding_units(model, options);
    const RoundingCosts costs(model, set, units);
    double foreseen = 0.0;
    double measured = 0.0;
    for (const RoundingUnit& unit : units) {
      ASSERT_EQ(unit.options.size(), 3u);
      EXPECT_GT(costs.of(unit.name)[0], 2.0 * costs.of(unit.name)[1]);
      EXPECT_GT(costs.of(unit.name)[1], 20.0 * costs.of(unit.name)[2]);
      Model changed = model;
      Weight& weight = weight_of(changed, unit.name);
      weight = rounded_alone(weight, unit.options[1], costs.importance(unit.name));
      const double kl = model_losses(model, std::span(&changed, 1), set).front();
      const double cost = costs.of(unit.name)[1];
      EXPECT_GT(cost, 0.75 * kl) << linear_name(unit.name.second, unit.name.first);
      EXPECT_LT(cost, 1.3 * kl) << linear_name(unit.name.second, unit.name.first);
      foreseen += cost;
      measured += kl;
    }
    EXPECT_NEAR(foreseen / measured, 1.0, 0.1);
  }
}

TEST(FormatChoice, SpendsTheBudgetWhereItCostsLeast) {
  const Model model = make_tiny_model(wide({.layers = 3}));
  const CalibrationSet set = random_calibration(16, 32);
  const int64_t least = bytes_in(model, "q3n");
  const int64_t most = bytes_in(model, "q8_0");
  double last = INFINITY;
  for (const double share : {0.0, 0.2, 0.5, 0.9}) {
    const int64_t target = least + static_cast<int64_t>(share * static_cast<double>(most - least));
    Report report;
    const Model result = compressed(model, set, within(target), report);
    const int64_t bytes = model_size(result).bytes;
    EXPECT_LE(bytes, target);
    EXPECT_GT(bytes, target - 2048);  // less than the smallest matrix takes for a better format
    EXPECT_EQ(report.of("formats").size(), 22u);
    const Json& budget = report.recipe["budget"];
    EXPECT_EQ(budget["target_bytes"], target);
    EXPECT_LT(budget["predicted_kl"], last);
    last = budget["predicted_kl"].get<double>();
  }
}

// From codes that llama.cpp does not know, as small as none of its types, the smallest of these is left.
TEST(FormatChoice, TakesTheSmallestWhereNothingIsSmaller) {
  Model model = make_tiny_model(wide());
  Weight& up = std::get<Mlp>(model.blocks[0].stages[1].branches[0]).up.weight;
  up = rounded_alone(up, Encoding::kQ4N, {});
  QuantizeOptions options = within(1);
  options.budget->loadable = Loadable::kGguf;
  const std::vector<RoundingUnit> units = rounding_units(model, options);
  const auto found = std::find_if(units.begin(), units.end(), [](const RoundingUnit& unit) {
    return unit.name == MatrixName{Role::kUp, 0};
  });
  ASSERT_NE(found, units.end());
  EXPECT_EQ(found->options, std::vector{Encoding::kIQ4_NL});
}

TEST(FormatChoice, IsTheSameOnAnyNumberOfThreadsAndAfterAnInterruption) {
  const Model model = make_tiny_model(wide());
  const CalibrationSet set = random_calibration(8, 32);
  const int64_t target = (bytes_in(model, "q4n") + bytes_in(model, "q8_0")) / 2;
  std::string bytes[3];
  for (const int threads : {1, 3}) {
    const WithThreads with(threads);
    Report report;
    bytes[threads / 2] = all_bytes(compressed(model, set, within(target), report));
  }
  const TempDir folder;
  Json entries[2];
  for (int run = 0; run < 2; ++run) {
    WorkArea area(folder / "work", Encoding::kF32, false);
    Report report;
    bytes[2] = all_bytes(compressed(model, set, within(target), report, area));
    entries[run] = report.to_json();
    EXPECT_EQ(bytes[2], bytes[0]);
  }
  EXPECT_EQ(bytes[0], bytes[1]);
  EXPECT_EQ(entries[0], entries[1]);
}

// Wide enough that reading the weights takes most of the time.
TinyModelOptions slow() {
  return {.vocab = 512, .width = 512, .heads = 8, .kv_heads = 4, .head_dim = 64, .intermediate = 1536};
}

QuantizeOptions decoding(double speed) {
  QuantizeOptions options = within(1);
  options.budget->bytes.reset();
  options.budget->decode = speed;
  options.budget->formats = {Encoding::kQ4N, Encoding::kBF16};
  return options;
}

TEST(DecodeTimes, AreThoseOfEachMatrixAndOfTheRest) {
  TinyModelOptions untied = slow();
  untied.tied = false;
  const Model model = make_tiny_model(untied);
  const std::vector<RoundingUnit> units = rounding_units(model, decoding(1.0));
  const DecodeTimes times(model, units);
  EXPECT_EQ(times.of({Role::kEmbedding, -1}, Encoding::kBF16), 0);
  EXPECT_GT(times.rest(), 0);
  EXPECT_GT(times.taken(), 0.0);
  int64_t sums[2] = {times.rest(), times.rest()};
  MatrixFormats formats[2];
  for (const RoundingUnit& unit : units)
    for (size_t o = 0; o < 2; ++o) {
      if (unit.name.first != Role::kEmbedding) {
        EXPECT_GT(times.of(unit.name, unit.options[o]), 0);
      }
      sums[o] += times.of(unit.name, unit.options[o]);
      formats[o][unit.name] = unit.options[o];
    }
  // q and k run as one linear, and q has twice the rows.
  EXPECT_NEAR(static_cast<double>(times.of({Role::kQuery, 1}, Encoding::kQ4N)),
              2.0 * static_cast<double>(times.of({Role::kKey, 1}, Encoding::kQ4N)), 2.0);
  for (size_t o = 0; o < 2; ++o) {
    const auto measured = static_cast<double>(times.measured(formats[o]));
    EXPECT_LT(static_cast<double>(sums[o]), 10.0 * measured);
    EXPECT_GT(static_cast<double>(sums[o]), measured / 10.0);
  }
}

// Times that were measured once decide here: other work on the machine may double the next ones.
TEST(FormatChoice, SpendsTimeAndKeepsTheChoiceAfterAnInterruption) {
  const Model model = make_tiny_model(slow());
  const CalibrationSet set = random_calibration(4, 32, 512);
  const std::vector<RoundingUnit> units = rounding_units(model, decoding(1.0));
  const DecodeTimes times(model, units);
  const auto time_in = [&](Encoding encoding) {
    int64_t sum = times.rest();
    for (const RoundingUnit& unit : units) sum += times.of(unit.name, encoding);
    return static_cast<double>(sum);
  };
  const double slow = time_in(Encoding::kBF16);
  const double fast = time_in(Encoding::kQ4N);
  if (fast > 0.95 * slow) GTEST_SKIP() << "formats make no difference here: " << slow << ", " << fast;
  const QuantizeOptions options = decoding(1e9 / std::sqrt(slow * fast));
  const PassProgress progress;
  const WrittenBytes written = [](const Model& made) { return model_size(made).bytes; };
  const TempDir folder;
  Json summaries[2];
  std::vector<Json> entries[2];
  for (int run = 0; run < 2; ++run) {
    WorkArea area(folder / "work", Encoding::kF32, false);
    Report report;
    const PassContext context = {set, set, model, area, report, progress, written};
    choose_formats(model, options, context, run == 0 ? std::optional(times) : std::nullopt, summaries[run]);
    entries[run] = report.of("formats");
  }
  EXPECT_TRUE(std::any_of(entries[0].begin(), entries[0].end(),
                          [](const Json& entry) { return entry["format"] == "q4n"; }));
  EXPECT_EQ(summaries[0]["target_decode"], *options.budget->decode);
  EXPECT_GT(summaries[0]["foreseen_decode"], 0.0);
  EXPECT_GT(summaries[0]["predicted_kl"], 0.0);
  EXPECT_EQ(entries[0], entries[1]);
  EXPECT_EQ(summaries[0], summaries[1]);
}

TEST(FormatChoice, NamesTheFastestAndWhatNeedsNoRounding) {
  const Model model = make_tiny_model(wide());
  const CalibrationSet set = random_calibration(4, 32);
  Report report;
  EXPECT_PARE_ERROR(compressed(model, set, decoding(1e8), report), ErrorCode::kInvalid,
                    "100000000.00 tok/s are wanted, and the fastest that there is decodes ");
  EXPECT_PARE_ERROR(compressed(model, set, decoding(0.01), report), ErrorCode::kInvalid,
                    "in 16 bits: nothing has to be rounded");
}

// A result that is slower than what was asked for says so.
TEST(FormatChoice, SaysWhatTheResultMisses) {
  const Model model = make_tiny_model(wide());
  Json recipe = Json::object();
  Report report;
  quantize_pass(decoding(1e8))->measure(model, recipe, report);
  ASSERT_EQ(report.fallbacks.size(), 1u);
  EXPECT_THAT(report.fallbacks.front(), testing::HasSubstr("and 100000000.00 are wanted"));
  EXPECT_GT(recipe["budget"]["measured_decode"], 0.0);
  quantize_pass(decoding(0.01))->measure(model, recipe, report);
  EXPECT_EQ(report.fallbacks.size(), 1u);
}

TEST(FormatChoice, ShareIsOfTheBytesInSixteenBits) {
  const Model model = make_tiny_model(wide());
  QuantizeOptions options = within(1);
  options.budget->bytes.reset();
  options.budget->ratio = 0.4;
  EXPECT_EQ(options.budget->most_bytes(model),
            static_cast<int64_t>(0.4 * static_cast<double>(2 * model_size(model).dense_parameters)));
  Report report;
  const Model result = compressed(model, random_calibration(4, 32), options, report);
  EXPECT_LE(model_size(result).bytes, options.budget->most_bytes(model));
}

TEST(FormatChoice, NamesTheLeastAndTheMost) {
  const Model model = make_tiny_model(wide());
  const CalibrationSet set = random_calibration(4, 32);
  Report report;
  EXPECT_PARE_ERROR(
      compressed(model, set, within(1000), report), ErrorCode::kInvalid,
      fmt::format("1000 bytes are wanted, and the least that there is takes {}", bytes_in(model, "q3n")));
  EXPECT_PARE_ERROR(compressed(model, set, within(int64_t{1} << 40), report), ErrorCode::kInvalid,
                    "in 16 bits: nothing has to be rounded");
  QuantizeOptions options = within(int64_t{1} << 40);
  options.budget->formats = {Encoding::kQ4N, Encoding::kQ5_0};
  const Model result = compressed(model, set, options, report);
  EXPECT_EQ(model_size(result).bytes, bytes_in(model, "q5_0"));
}

TEST(FormatChoice, WhatIsInCodesMayStayAndGetsNothingLarger) {
  const Model model = make_tiny_model(wide());
  const CalibrationSet set = random_calibration(4, 32);
  QuantizeOptions q5;
  q5.method = RoundingMethod::kNearest;
  q5.format = QuantizeScheme("q5_0");
  Report report;
  const Model rounded = compressed(model, set, q5, report);
  for (const RoundingUnit& unit : rounding_units(rounded, within(1)))
    EXPECT_EQ(unit.options, (std::vector<Encoding>{Encoding::kQ3N, Encoding::kQ4N, Encoding::kQ5_0}));
  const int64_t target = (bytes_in(model, "q4n") + bytes_in(model, "q5_0")) / 2;
  EXPECT_LE(model_size(compressed(rounded, set, within(target), report)).bytes, target);
}

TEST(FormatChoice, LeavesWhatIsNotSelected) {
  const Model model = make_tiny_model(wide());
  QuantizeOptions options = within(150000);
  options.keep_embedding = true;
  options.ignore = {"down"};
  for (const RoundingUnit& unit : rounding_units(model, options)) {
    EXPECT_NE(unit.name.first, Role::kEmbedding);
    EXPECT_NE(unit.name.first, Role::kDown);
  }
  Report report;
  const Model result = compressed(model, random_calibration(4, 32), options, report);
  EXPECT_EQ(result.embedding.data, model.embedding.data);
}

}  // namespace
}  // namespace pare::test
