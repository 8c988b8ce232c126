#include "compress/sparsify/cost.h"

#include <algorithm>

#include "compress/calibrate/linear_solver.h"
#include "compress/estimate.h"
#include "compress/sparsify/pattern_choice.h"
#include "compress/sparsify/permute.h"
#include "compress/sparsify/sparsify.h"
#include "compress/walk/sample_split.h"
#include "model/visit.h"

namespace pare {
namespace {

constexpr MeasuringSizes kMeasuring;

struct Widths {
  int64_t widest = 0;      // widest input of a linear
  int64_t largest = 0;     // most values of a linear
  int64_t parameters = 0;  // most parameters of a stage
  int64_t bytes = 0;       // most bytes of a stage as it is stored, and of its matrices in another order
};

// Bytes of a weight as stored, and in another order.
int64_t bytes_twice(const Weight& weight) {
  return weight.bytes() + weight.rows * row_bytes(permuted_encoding(weight), weight.cols);
}

Widths widths_of(const Model& model) {
  Widths widths;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages) {
      int64_t parameters = stage.skip.values();
      int64_t bytes = bytes_twice(stage.skip);
      for_each_linear(stage, [&](Role, const Linear& linear) {
        parameters += linear.weight.values();
        bytes += bytes_twice(linear.weight);
        widths.widest = std::max({widths.widest, linear.weight.cols, linear.weight.rows});
        widths.largest = std::max(widths.largest, linear.weight.values());
      });
      widths.parameters = std::max(widths.parameters, parameters);
      widths.bytes = std::max(widths.bytes, bytes);
    }
  return widths;
}

// Bytes of matrices (in, in) while they are summed up: the total, and the sum of a chunk.
int64_t summing_bytes(const SparsifyOptions& options, int64_t width) {
  const int64_t sums = options.match == MatchOutput::kModel ? 2 : 1;  // sums of inputs, and with outputs
  return 2 * sums * width * width * 8;
}

// Bytes of matrices (in, in) while solving; `shuffled`: data that orders of channels are found from before.
int64_t solving_bytes(const SparsifyOptions& options, int64_t width, int64_t shuffled) {
  const PruneOptions& prune = options.prune;
  int64_t derived = 0;
  if (prune.update != WeightUpdate::kNone || prune.score.method == SparseMethod::kSparseGpt)
    derived = 1;                                               // factor of the matrix
  if (prune.score.method == SparseMethod::kAlps) derived = 5;  // copies that the eigenvectors need
  if (options.match == MatchOutput::kModel) derived += 2;      // factor, wanted outputs
  const bool multiplies = prune.update != WeightUpdate::kNone || prune.swap_rounds > 0 ||
                          prune.score.method == SparseMethod::kAlps;
  const int64_t solving = derived * 8 + (multiplies ? 4 : 0);  // the last: the matrix in f32
  const int64_t reordered = options.shuffle.any() ? 8 : 0;     // reordered matrix, when `shuffled` is gone
  return width * width * 8 + std::max(width * width * std::max(solving, reordered), shuffled);
}

}  // namespace

Needs sparsify_needs(const Model& model, const SparsifyOptions& options, const CalibrationPlan& plan,
                     Encoding dtype) {
  const Widths w = widths_of(model);
  const int64_t width = model.config.stream_width();
  const bool dense = options.match == MatchOutput::kModel;
  const int64_t shuffled = options.shuffle.any() ? 3 * w.largest * 8 : 0;  // weights and scores, f64
  const int64_t signals = plan.seqlen * (3 * w.widest + 6 * width) * 4;
  const int64_t summing = summing_bytes(options, w.widest) + w.parameters * 4 + signals;  // the packed stage
  const int64_t solving =
      solving_bytes(options, w.widest, shuffled) + 9 * kRowsAtOnce * w.widest * 8 + 4 * w.largest * 4;
  Needs needs;
  needs.memory =
      kProgramMemory + std::max(summing, solving) + w.bytes + w.parameters * 4;  // the last: sparse, in f32
  if (options.shuffle.any() &&
      options.shuffle_residual)  // the ends, and one of them in f32 while it is permuted
    needs.memory += model.embedding.values() * 4 + model.head.values() * 2;
  const bool behind = model.config.design.norm_place != NormPlace::kInput;
  const int64_t streams = dense ? (behind ? 5 : 4) : 2;
  needs.activations = plan.own_tokens() * (streams * width + w.widest) * 4;
  if (options.target_bytes) {
    const int64_t variants = 2 * static_cast<int64_t>(model.blocks.size());
    needs.memory =
        std::max(needs.memory, kProgramMemory + 3 * w.parameters * 4 + model.head_weight().values() * 2);
    needs.activations =
        std::max(needs.activations,
                 (share_of(kMeasuring.gram_sequences, plan.ranks) * plan.seqlen * (2 * width + w.widest) +
                  2 * (1 + share_of(variants, plan.ranks)) * kMeasuring.probe_sequences *
                      kMeasuring.probe_tokens * width) *
                     4);
  }
  needs.disk = needs.activations + 2 * model_size(model).dense_parameters * row_bytes(dtype, 1);
  return needs;
}

double sparsify_seconds(const Model& model, const SparsifyOptions& options, const CalibrationPlan& plan) {
  // The first layer runs on one sequence and on two: the difference is the time of a sequence.
  Model first = model;
  first.blocks.resize(1);
  update_config(first);
  // Roles are the same as anywhere in the model.
  SparsifyOptions all = options;
  all.targets = selected_roles(model, options);
  all.ignore.clear();
  all.mix.clear();
  all.target_bytes.reset();
  double seconds[2] = {};
  for (int64_t sequences = 1; sequences <= 2; ++sequences) {
    CalibrationSet set;
    set.sequences = random_sequences(model.config, sequences, plan.seqlen);
    WorkArea area;
    Report report;
    const Stopwatch watch;
    Model sparse = first;
    StageEditors editors;
    editors.push_back(sparsify(sparse, set, all, area, report));
    edit_stages(sparse, set, editors, area, report);
    seconds[sequences - 1] = watch.seconds();
  }
  const double sequence = std::max(0.0, seconds[1] - seconds[0]);
  const auto layers = static_cast<double>(model.blocks.size());
  const double layer = std::max(0.0, seconds[0] - sequence);
  double total = layers * (layer + sequence * static_cast<double>(plan.own_samples()));
  if (options.target_bytes) {
    // A layer has two variants; each runs through all layers behind it.
    const double probes = layers * (layers + 1.0) *
                          static_cast<double>(kMeasuring.probe_sequences * kMeasuring.probe_tokens) /
                          static_cast<double>(plan.seqlen * plan.ranks);
    for (const Pattern pattern : pattern_candidates(options))
      if (!pattern.dense())
        total += layers * (layer +
                           sequence * static_cast<double>(share_of(kMeasuring.gram_sequences, plan.ranks))) +
                 probes * sequence;
  }
  return total;
}

}  // namespace pare
