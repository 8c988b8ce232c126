#include "compress/sparsify/cost.h"

#include <algorithm>

#include "compress/calibrate/calibration_cost.h"
#include "compress/calibrate/linear_solver.h"
#include "compress/estimate.h"
#include "compress/sparsify/pattern_choice.h"
#include "compress/sparsify/sparsify.h"
#include "compress/walk/sample_split.h"
#include "model/visit.h"

namespace pare {
namespace {

constexpr MeasuringSizes kMeasuring;

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
  const CalibrationWidths w = calibration_widths(model);
  const int64_t width = model.config.stream_width();
  const int64_t shuffled = options.shuffle.any() ? 3 * w.largest * 8 : 0;  // weights and scores, f64
  const int64_t solving = solving_bytes(options, w.widest, shuffled) + 9 * kRowsAtOnce * w.widest * 8;
  Needs needs = calibration_needs(model, options, plan, dtype, solving);
  const int64_t files = needs.disk - needs.activations;
  if (options.shuffle.any() &&
      options.shuffle_residual)  // the ends, and one of them in f32 while it is permuted
    needs.memory += model.embedding.values() * 4 + model.head.values() * 2;
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
  needs.disk = needs.activations + files;
  return needs;
}

double sparsify_seconds(const Model& model, const SparsifyOptions& options, const CalibrationPlan& plan) {
  // Roles are the same as anywhere in the model.
  SparsifyOptions all = options;
  all.targets = selected_roles(model, options);
  all.ignore.clear();
  all.mix.clear();
  all.target_bytes.reset();
  const LayerSeconds layer = seconds_of_layer(
      model, plan, [&](Model& first, const CalibrationSet& set, WorkArea& area, Report& report) {
        return sparsify(first, set, all, area, report);
      });
  const auto layers = static_cast<double>(model.blocks.size());
  double total = layer.of_model(model, plan);
  if (options.target_bytes) {
    // A layer has two variants; each runs through all layers behind it.
    const double probes = layers * (layers + 1.0) *
                          static_cast<double>(kMeasuring.probe_sequences * kMeasuring.probe_tokens) /
                          static_cast<double>(plan.seqlen * plan.ranks);
    for (const Pattern pattern : pattern_candidates(options))
      if (!pattern.dense())
        total += layers * (layer.fixed + layer.sequence * static_cast<double>(share_of(
                                                              kMeasuring.gram_sequences, plan.ranks))) +
                 probes * layer.sequence;
  }
  return total;
}

}  // namespace pare
