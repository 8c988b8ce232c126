// Loops over stages that are interrupted and continued.
#include "compress/walk/stage_loop.h"

#include <stdexcept>

#include "compress/calibrated.h"
#include "compress/run_passes.h"
#include "compress/slice/slice_pass.h"
#include "compress/sparsify/sparsify_pass.h"
#include "model/visit.h"
#include "support/temp_dir.h"

namespace pare::test {
namespace {

// Stands for a walk: a number that every stage changes.
struct Counter {
  int64_t value = 0;
  bool survives = true;

  Json position() const { return value; }
  bool restore(const Json& position) {
    if (survives) value = position.get<int64_t>();
    return survives;
  }
};

constexpr size_t kStages = 4;

struct Interrupted : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Actions of a loop: "start", "take 0", "work 1", …
using Deeds = std::vector<std::string>;

// A loop that doubles two counters and adds one in every stage. Stops before it records stage `stop`.
Deeds run_loop(WorkArea& area, Counter& first, Counter& second, Report& report, size_t stop) {
  Deeds deeds;
  StageLoop loop(area, "loop", {{"first", first}, {"second", second}}, &report);
  if (loop.is_new()) {
    deeds.emplace_back("start");
    first.value = 1;
    second.value = 2;
    loop.begin();
  }
  for (size_t s = 0; s < kStages; ++s) {
    if (const Json* record = loop.finished(s)) {
      EXPECT_EQ(record->at("stage"), s);
      deeds.push_back(fmt::format("take {}", s));
      continue;
    }
    EXPECT_EQ(loop.done(), s);
    first.value = 2 * first.value + 1;
    second.value = 2 * second.value + 1;
    report.fallbacks.push_back(fmt::format("stage {}", s));
    deeds.push_back(fmt::format("work {}", s));
    if (s == stop) return deeds;
    loop.record(s, {{"stage", s}});
  }
  return deeds;
}

const std::vector<std::string> kEntries = {"stage 0", "stage 1", "stage 2", "stage 3"};

TEST(StageLoop, GoesOnBehindTheLastRecordedStage) {
  for (size_t stop = 0; stop <= kStages; ++stop) {
    SCOPED_TRACE(stop);
    const TempDir folder;
    Counter first, second;
    {
      WorkArea area(folder / "work", Encoding::kF32, false);
      Report report;
      run_loop(area, first, second, report, stop);
    }
    // Another process: what it had in memory is gone.
    first = {};
    second = {};
    WorkArea area(folder / "work", Encoding::kF32, false);
    Report report;
    const Deeds deeds = run_loop(area, first, second, report, kStages);
    Deeds expected;
    for (size_t s = 0; s < kStages; ++s)
      expected.push_back(fmt::format("{} {}", s < stop ? "take" : "work", s));
    EXPECT_EQ(deeds, expected);
    EXPECT_EQ(first.value, 31);
    EXPECT_EQ(second.value, 47);
    EXPECT_EQ(report.fallbacks, kEntries);
  }
}

TEST(StageLoop, BeginsAgainWhenActivationsDidNotSurvive) {
  WorkArea area;
  Counter first, second;
  Report interrupted;
  run_loop(area, first, second, interrupted, 2);
  second.survives = false;
  EXPECT_EQ(run_loop(area, first, second, interrupted, 0), (Deeds{"start", "work 0"}));
  // Nothing that the first run has recorded counts for a third one.
  second.survives = true;
  Report report;
  EXPECT_EQ(run_loop(area, first, second, report, kStages), (Deeds{"work 0", "work 1", "work 2", "work 3"}));
  EXPECT_EQ(first.value, 31);
  EXPECT_EQ(report.fallbacks, kEntries);
}

TEST(StageLoop, KeepsEntriesFromBeforeTheLoopOutOfItsRecords) {
  WorkArea area;
  Counter first, second;
  Report report;
  report.fallbacks.emplace_back("before");
  run_loop(area, first, second, report, kStages);
  Report again;
  run_loop(area, first, second, again, kStages);
  EXPECT_EQ(again.fallbacks, kEntries);
}

TEST(StageLoop, TakesStagesInOrder) {
  WorkArea area;
  StageLoop loop(area, "loop");
  EXPECT_TRUE(loop.is_new());
  EXPECT_ANY_THROW(loop.record(0));
  loop.begin();
  EXPECT_ANY_THROW(loop.begin());
  EXPECT_EQ(loop.finished(0), nullptr);
  EXPECT_ANY_THROW(loop.record(1));
  loop.record(0);
  EXPECT_NE(loop.finished(0), nullptr);
  EXPECT_EQ(loop.done(), 1u);
}

// Each loop of the passes, interrupted before each of its records.
TEST(StageLoop, PassesGoOnWithTheSameBytes) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(4, 24);
  const auto slicing = [](bool residual, Rotation rotation) {
    SliceOptions options;
    options.target_params = 0.85;
    options.round_interval = 4;
    options.residual = residual;
    options.rotation = rotation;
    return slice_pass(options);
  };
  const auto sparse = [] {
    SparsifyOptions options;
    options.prune.score.method = SparseMethod::kSparseGpt;
    options.match = MatchOutput::kModel;
    return options;
  };
  const auto mixed = [&] {
    SparsifyOptions options;
    options.prune.score.method = SparseMethod::kWanda;
    options.mix = {kDense};
    options.target_bytes = 0.9;
    return options;
  };
  std::vector<std::pair<std::string, std::unique_ptr<Pass>>> ways;
  ways.emplace_back("streams", slicing(false, Rotation::kGlobal));
  ways.emplace_back("block", slicing(true, Rotation::kBlock));
  ways.emplace_back("global", slicing(true, Rotation::kGlobal));
  ways.emplace_back("matched", sparsify_pass(sparse()));
  ways.emplace_back("mixed", sparsify_pass(mixed()));
  for (auto& [name, pass] : ways) {
    SCOPED_TRACE(name);
    Passes passes;
    passes.push_back(std::move(pass));
    const TempDir folder;
    int64_t records = 0;
    std::string expected;
    {
      WorkArea area(folder / "whole", Encoding::kF32, false);
      area.before_record([&] { ++records; });
      Report report;
      const Model model = run_passes(dense, set, passes, area, report);
      expected = all_bytes(model) + report.to_json().dump();
    }
    ASSERT_GT(records, 4);
    // One work folder, one more record in every run.
    for (int64_t run = 0; run <= records; ++run) {
      WorkArea area(folder / "parts", Encoding::kF32, false);
      int64_t left = 1;
      area.before_record([&] {
        if (left-- == 0) throw Interrupted("killed");
      });
      Report report;
      try {
        const Model model = run_passes(dense, set, passes, area, report);
        EXPECT_GE(run, records - 1);
        EXPECT_TRUE(all_bytes(model) + report.to_json().dump() == expected) << run;
      } catch (const Interrupted&) {
        EXPECT_LT(run, records - 1);
      }
    }
  }
}

}  // namespace
}  // namespace pare::test
