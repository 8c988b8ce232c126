#include "compress/slice/cost.h"

#include <algorithm>

#include "compress/estimate.h"
#include "compress/slice/fuse.h"
#include "compress/slice/rotate.h"
#include "compress/slice/sensitivity.h"
#include "compress/slice/streams.h"
#include "compress/solve/gram.h"
#include "compress/walk/calibration_walk.h"
#include "compress/walk/sample_split.h"
#include "compress/walk/stage_losses.h"
#include "model/visit.h"
#include "runtime/packed_model.h"
#include "tensor/sparse_weight.h"

namespace pare {
namespace {

int64_t gram_sequences(const CalibrationPlan& plan) {
  return share_of(MeasuringSizes{}.gram_sequences, plan.ranks);
}

constexpr int64_t kProbeTokens = MeasuringSizes{}.probe_sequences * MeasuringSizes{}.probe_tokens;

bool measures(const SliceOptions& options) { return !options.residual && !options.uniform; }

int64_t stage_parameters(const Stage& stage) {
  int64_t values = stage.skip.values();
  for_each_linear(stage, [&](Role, const Linear& linear) { values += linear.weight.values(); });
  return values;
}

// Branches whose streams are cut.
std::vector<size_t> cut_branches(const Stage& stage, const SliceOptions& options) {
  std::vector<size_t> branches;
  for (size_t b = 0; b < stage.branches.size(); ++b) {
    const bool hidden = stream_kind(stage, b) == StreamKind::kHidden;
    if (!options.residual && (hidden ? options.hidden : options.value && !options.uniform))
      branches.push_back(b);
  }
  return branches;
}

// Bytes of memory while one stage is worked on.
int64_t stage_memory(const Stage& stage, const SliceOptions& options, int64_t width, int64_t seqlen) {
  const int64_t parameters = stage_parameters(stage);
  int64_t inner = 0;
  int64_t largest = 0;
  for_each_linear(stage, [&](Role, const Linear& linear) {
    inner = std::max({inner, linear.weight.rows, linear.weight.cols});
    largest = std::max(largest, linear.weight.values());
  });
  const int64_t signals = seqlen * (3 * inner + 6 * width) * 4;
  int64_t algebra = 0;
  if (options.residual) {
    // Covariance with the sum of a chunk, its eigenvectors with LAPACK's work space, two bases; the stage
    // fused and rotated in f32, one linear in f64 before and after.
    algebra = 9 * width * width * 8 + 3 * parameters * 4 + 2 * largest * 8;
  }
  for (const size_t branch : cut_branches(stage, options)) {
    // Gram matrix, the sum of a chunk, its factor; reader, its products and solutions in f64; the cut stage
    // in f32.
    const int64_t columns = stream_columns(stage, branch);
    algebra += 3 * columns * columns * 8 + 6 * largest * 8 + 2 * parameters * 4;
    // A refit in a pattern keeps the Gram matrix twice more, and once in f32; its rows, residuals,
    // directions.
    if (const auto* mlp = std::get_if<Mlp>(&stage.branches[branch]))
      if (!followed_pattern(mlp->down.weight).dense()) algebra += columns * columns * 20 + 7 * largest * 8;
  }
  return signals + parameters * 4 + algebra;
}

int64_t dense_bytes(const Model& model, Encoding dtype) {
  return model_size(model).dense_parameters * row_bytes(dtype, 1);
}

// Seconds of the head for one position of one model.
double head_seconds(const Model& model) {
  const auto head = pack_linear(model.head_weight(), ComputeType::kBF16);
  const Matrix<float> x = Matrix<float>::zeros(kProbeRowsAtOnce, head->in_features());
  Matrix<float> y(kProbeRowsAtOnce, head->out_features());
  const Stopwatch watch;
  head->apply(x.view(), y.view());
  return 2.0 * watch.seconds() / static_cast<double>(kProbeRowsAtOnce);  // comparing takes as much
}

}  // namespace

Needs slice_needs(const Model& model, const SliceOptions& options, const CalibrationPlan& plan,
                  Encoding dtype) {
  Needs needs;
  const ModelConfig& config = model.config;
  const int64_t width = config.stream_width();
  const int64_t tokens = plan.own_tokens();
  int64_t work = 0;
  int64_t cuts = 0;
  int64_t values = 0;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages) {
      work = std::max(work, stage_memory(stage, options, width, plan.seqlen));
      for (const size_t branch : cut_branches(stage, options)) {
        cuts += kCutsPerStream;
        if (stream_kind(stage, branch) == StreamKind::kValue)
          values = std::max(values, tokens * stream_columns(stage, branch) * 4);
      }
    }
  // Embedding or head in f32 and in the written type. Probes: logits.
  const int64_t table = config.vocab_size * config.embedding_width;
  if (options.residual) work = std::max(work, table * (4 + row_bytes(dtype, 1)));
  if (measures(options)) work = std::max(work, table * 2 + 4 * kProbeRowsAtOnce * config.vocab_size * 4);
  needs.memory = kProgramMemory + work;
  needs.activations = 2 * tokens * width * 4 + values;
  if (measures(options))
    needs.activations =
        std::max(needs.activations,
                 2 * (gram_sequences(plan) * plan.seqlen + (1 + share_of(cuts, plan.ranks)) * kProbeTokens) *
                     width * 4);
  // Finished stages are kept beside the output until it is complete.
  needs.disk = needs.activations + 2 * dense_bytes(model, dtype) + 3 * width * width * 8;
  return needs;
}

double slice_seconds(const Model& model, const SliceOptions& options, const CalibrationPlan& plan) {
  const auto layers = static_cast<double>(model.blocks.size());
  const auto samples = static_cast<double>(plan.own_samples());
  CalibrationSet set;
  set.sequences = random_sequences(model.config, 1, plan.seqlen);
  WorkArea area;
  CalibrationWalk walk(set, model.config, area, "");
  walk.start(model);
  double packing = 0.0;  // seconds for a layer
  double plain = 0.0;    // seconds of a layer on a sequence
  double run = 0.0;      // seconds of a layer on a sequence in the walk that cuts, with all sums on the way
  double algebra = 0.0;  // seconds of a layer
  double cuts = 0.0;     // seconds of a layer
  for (const Stage& stage : model.blocks.front().stages) {
    if (stage.branches.empty()) continue;
    Matrix<double> residual_gram =
        Matrix<double>::identity(options.residual ? model.config.embedding_width : 0);
    const std::vector<size_t> branches = cut_branches(stage, options);
    walk.run(stage, "warming up", {});
    const Stopwatch packing_stage;
    pack_stage(stage, model.config.embedding_width, calibration_compute());
    const double pack = packing_stage.seconds();
    const auto run_sequence = [&](const StageWatch& watch) {
      const Stopwatch running;
      walk.run(stage, "measuring", watch);
      return std::max(0.0, running.seconds() - pack);
    };
    const double once = run_sequence({});
    const std::vector<Matrix<double>> grams =
        run_for_grams(stage, branches, walk.split(), [&](const Observer& observer) {
          StageWatch watch = {observer, {}, {}};
          if (options.residual)
            watch.output = [&](MatrixView<const float> x) {
              gram_accumulate(x, nullptr, residual_gram.view());
            };
          run += run_sequence(watch);
        });
    packing += pack;
    plain += once;
    const Stopwatch computing;
    if (options.residual) {
      const Matrix<double> q = std::move(eigh(std::as_const(residual_gram).view()).vectors);
      rotate_stage(fuse_norm(stage), q.view(), q.view());
    }
    bool again = false;
    for (size_t i = 0; i < branches.size(); ++i) {
      const size_t branch = branches[i];
      cut_stream(stage, grams[i].view(), stream_width(stage, branch) / 2 + 1, 1e-3, branch);
      cuts += static_cast<double>(kCutsPerStream);
      again = again || stream_kind(stage, branch) == StreamKind::kHidden;
    }
    algebra += computing.seconds();
    // A cut stage runs once more, or its outputs are corrected.
    if (again) run += once;
  }
  double seconds = layers * (2.0 * packing + samples * run + algebra);
  if (measures(options)) {
    cuts /= static_cast<double>(plan.ranks);
    const double copies = cuts * layers * (layers + 1.0) / 2.0;  // times a layer runs behind a cut
    const double probe = static_cast<double>(kProbeTokens) / static_cast<double>(plan.seqlen);
    seconds += layers * ((2.0 + cuts) * packing + static_cast<double>(gram_sequences(plan)) * run + algebra) +
               copies * probe * plain;
    seconds += cuts * layers * static_cast<double>(kProbeTokens) / static_cast<double>(kProbeStride) *
               head_seconds(model);
  }
  return seconds;
}

}  // namespace pare
