// Several ranks together compute what one computes alone, to the bit.
#include <cstring>
#include <functional>
#include <mutex>

#include "compress/calibrated.h"
#include "compress/run_passes.h"
#include "compress/slice/slice_pass.h"
#include "compress/sparsify/scores.h"
#include "compress/sparsify/sparsify_pass.h"
#include "compress/walk/sample_split.h"
#include "compress/walk/stage_losses.h"
#include "model/visit.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "support/thread_ranks.h"

namespace pare::test {
namespace {

constexpr int kCounts[] = {1, 2, 4};

Matrix<float> random_signal(int64_t rows, int64_t cols, uint64_t seed) {
  Rng rng(seed);
  Matrix<float> x(rows, cols);
  for (int64_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(rng.normal());
  return x;
}

bool same(const Matrix<double>& a, const Matrix<double>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(double)) == 0;
}

TEST(SampleSplit, EverySequenceHasOneOwner) {
  for (const int count : kCounts)
    for (const int64_t sequences : {0, 1, 2, 3, 4, 5, 6, 7, 64}) {
      std::vector<int> owned(static_cast<size_t>(sequences), 0);
      std::mutex mutex;
      run_ranks(count, [&](Comm& comm) {
        const SampleSplit split(comm, sequences);
        const std::lock_guard<std::mutex> lock(mutex);
        EXPECT_LE(split.count(), share_of(sequences, count));
        for (int64_t i = 0; i < split.count(); ++i) {
          const int64_t sequence = split.first() + i;
          EXPECT_EQ(split.owner(sequence), comm.rank());
          // The chunk depends on the sequence alone.
          EXPECT_EQ(split.chunk_of(i), SampleSplit(local_comm(), sequences).chunk_of(sequence));
          ++owned[static_cast<size_t>(sequence)];
        }
      });
      EXPECT_EQ(owned, std::vector<int>(owned.size(), 1));
    }
}

TEST(SampleSplit, RefusesRanksThatDoNotShareTheChunks) {
  for (const int count : {3, 5, 8})
    EXPECT_PARE_ERROR(run_ranks(count, [](Comm& comm) { SampleSplit(comm, 16); }), ErrorCode::kUsage,
                      "1, 2 or 4 ranks");
}

TEST(ChunkSum, DoesNotDependOnTheNumberOfRanks) {
  for (const int64_t sequences : {1, 2, 3, 4, 7, 16}) {
    // More rows than fit the pieces in which sums travel.
    constexpr int64_t kRows = 300;
    constexpr int64_t kCols = 500;
    Matrix<double> alone;
    for (const int count : kCounts)
      run_ranks(count, [&](Comm& comm) {
        const SampleSplit split(comm, sequences);
        ChunkSum sum(split, kRows, kCols);
        for (int64_t i = 0; i < split.count(); ++i) {
          const Matrix<float> x = random_signal(kRows, kCols, static_cast<uint64_t>(split.first() + i));
          const MatrixView<double> to = sum.next();
          for (int64_t j = 0; j < x.size(); ++j) to.data[j] += static_cast<double>(x.data()[j]) / 3.0;
        }
        Matrix<double> total = std::move(sum).total();
        if (count == 1)
          alone = std::move(total);
        else
          EXPECT_TRUE(same(total, alone)) << sequences << " on " << count;
      });
  }
}

TEST(ChunkSum, AddsTheChunksInOrder) {
  // 1 + 2⁻⁵³ + 2⁻⁵³ is 1 from left to right, and more when the small ones come first.
  const double small = 0x1p-53;
  for (const int count : kCounts)
    run_ranks(count, [&](Comm& comm) {
      const SampleSplit split(comm, 4);
      ChunkSum sum(split, 1, 1);
      for (int64_t i = 0; i < split.count(); ++i) sum.next()(0, 0) += split.first() + i == 0 ? 1.0 : small;
      EXPECT_EQ(std::move(sum).total()(0, 0), 1.0);
    });
}

// Ranks may have no tokens at all.
TEST(ChannelEntropies, AreThoseOfAllTokens) {
  const Matrix<float> x = random_signal(97, 37, 5);
  const std::vector<double> alone = channel_entropies(x.view(), 20);
  for (const int count : {1, 2, 4})
    run_ranks(count, [&](Comm& comm) {
      const int64_t first = comm.rank() * x.rows() / comm.size();
      const int64_t end = (comm.rank() + 1) * x.rows() / comm.size();
      EXPECT_EQ(channel_entropies(x.view().rows_of(first, end - first), 20, comm), alone);
      const int64_t rows = comm.rank() + 1 == comm.size() ? x.rows() : 0;
      EXPECT_EQ(channel_entropies(x.view().rows_of(0, rows), 20, comm), alone);
    });
}

TEST(StageLosses, VariantsOfAllRanksAreMeasured) {
  const Model model = make_tiny_model();
  const CalibrationSet set = random_calibration(2, 24);
  std::vector<double> alone;
  for (const int count : {1, 2, 3})
    run_ranks(count, [&](Comm& comm) {
      WorkArea area(comm);
      StageLosses probe(model, set, 4, area, "probe");
      probe.start();
      for (const Block& block : model.blocks) {
        Stage silent = block.stages[0];
        silent.branches.clear();
        probe.advance(block.stages[0], std::vector<Stage>{silent, block.stages[0]});
        probe.advance(block.stages[1], {});
      }
      const std::vector<double> losses = probe.losses();
      ASSERT_EQ(losses.size(), 4u);
      if (count == 1)
        alone = losses;
      else
        EXPECT_EQ(losses, alone);
    });
}

// Every byte of a model's tensors, and of the report.
std::string fingerprint(const Model& model, const Report& report) {
  return report.to_json().dump() + all_bytes(model);
}

Passes one(std::unique_ptr<Pass> pass) {
  Passes passes;
  passes.push_back(std::move(pass));
  return passes;
}

// Expects one result on 1, 2 and 4 ranks, on every rank, for numbers of sequences shared evenly or not.
void expect_the_same(const Model& model, const Passes& passes) {
  for (const int64_t sequences : {8, 3}) {
    const CalibrationSet set = random_calibration(sequences, 40);
    std::string alone;
    for (const int count : kCounts)
      run_ranks(count, [&](Comm& comm) {
        WorkArea area(comm);
        Report report;
        const Model result = run_passes(model, set, passes, area, report);
        const std::string got = fingerprint(result, report);
        if (count == 1)
          alone = got;
        else
          EXPECT_TRUE(got == alone) << sequences << " sequences on " << count << " ranks";
      });
  }
}

SliceOptions to_target() {
  SliceOptions options;
  options.target_params = 0.9;
  return options;
}

TEST(Ranks, SliceStreamsAlike) {
  expect_the_same(make_tiny_model(), one(slice_pass(to_target())));
  expect_the_same(make_tiny_model(phi_like()), one(slice_pass(to_target())));
}

TEST(Ranks, SliceTheResidualStreamAlike) {
  SliceOptions options = to_target();
  options.residual = true;
  for (const Rotation rotation : {Rotation::kBlock, Rotation::kGlobal}) {
    options.rotation = rotation;
    expect_the_same(make_tiny_model(opt_like()), one(slice_pass(options)));
  }
}

TEST(Ranks, MakeSparseAlike) {
  SparsifyOptions best;
  best.prune.score.method = SparseMethod::kSparseGpt;
  best.match = MatchOutput::kModel;
  best.shuffle.global = true;
  SparsifyOptions mixed;
  mixed.shuffle.global = true;
  mixed.mix = {kDense};
  mixed.target_bytes = 0.85;
  for (const SparsifyOptions& options : {SparsifyOptions(), best, mixed})
    expect_the_same(make_tiny_model(), one(sparsify_pass(options)));
}

TEST(Ranks, RunSeveralPassesAlike) {
  Passes passes = one(slice_pass(to_target()));
  passes.push_back(sparsify_pass({}));
  expect_the_same(make_tiny_model(), passes);
}

// Another number of ranks continues the work: kept stages are sent, activations are made again.
TEST(Ranks, GoOnWithTheWorkOfOthers) {
  const TempDir folder;
  const Model model = make_tiny_model();
  const CalibrationSet set = random_calibration(8, 40);
  const Passes passes = one(slice_pass(to_target()));
  std::string alone;
  for (const int count : {1, 2, 4, 1, 2})
    run_ranks(count, [&](Comm& comm) {
      WorkArea area(folder / fmt::format("rank-{}", comm.rank()), Encoding::kF32, false, comm);
      Report report;
      const Model result = run_passes(model, set, passes, area, report);
      const std::string got = fingerprint(result, report);
      if (count == 1)
        alone = got;
      else
        EXPECT_TRUE(got == alone) << count;
    });
}

TEST(WorkArea, RanksThatDisagreeAreFound) {
  const auto body = [](Comm& comm) {
    WorkArea area(comm);
    area.record("same", {{"value", 1}});
    area.record("other", {{"value", comm.rank()}});
  };
  EXPECT_PARE_ERROR(run_ranks(2, body), ErrorCode::kNumeric, "step other");
}

}  // namespace
}  // namespace pare::test
