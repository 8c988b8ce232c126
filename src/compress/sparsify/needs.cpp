#include "compress/sparsify/needs.h"

#include <algorithm>

#include "compress/estimate.h"
#include "model/visit.h"

namespace pare {
namespace {

struct Widths {
  int64_t widest = 0;      // input of a linear
  int64_t largest = 0;     // values of a linear
  int64_t parameters = 0;  // of a stage, at most
};

Widths widths_of(const Model& model) {
  Widths widths;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages) {
      int64_t parameters = stage.skip.values();
      for_each_linear(stage, [&](Role, const Linear& linear) {
        parameters += linear.weight.values();
        widths.widest = std::max({widths.widest, linear.weight.cols, linear.weight.rows});
        widths.largest = std::max(widths.largest, linear.weight.values());
      });
      widths.parameters = std::max(widths.parameters, parameters);
    }
  return widths;
}

}  // namespace

Needs sparsify_needs(const Model& model, const SparsifyOptions& options, const CalibrationPlan& plan,
                     Encoding dtype) {
  const Widths w = widths_of(model);
  const int64_t width = model.config.embedding_width;
  const bool dense = options.match == MatchOutput::kModel;
  // Gram matrices, damped and factored, and what matches the dense model; a linear in f64 with target,
  // values, scores and the products of its solvers; the stage in f32, packed and not.
  const int64_t grams = (dense ? 6 : 4) * w.widest * w.widest * 8;
  const int64_t signals = plan.seqlen * (3 * w.widest + 6 * width) * 4;
  Needs needs;
  needs.memory = kProgramMemory + grams + 9 * w.largest * 8 + 3 * w.parameters * 4 + signals;
  needs.activations = plan.tokens() * ((dense ? 4 : 2) * width + w.widest) * 4;
  needs.disk = needs.activations + 2 * model_size(model).dense_parameters * row_bytes(dtype, 1);
  return needs;
}

double sparsify_seconds(const Model& model, const SparsifyOptions& options, const CalibrationPlan& plan) {
  // The first layer, on one sequence and on two: the difference is what a sequence takes.
  Model first = model;
  first.blocks.resize(1);
  update_config(first);
  // The same roles as anywhere in the model.
  SparsifyOptions all = options;
  all.targets = selected_roles(model, options);
  all.ignore.clear();
  double seconds[2] = {};
  for (int64_t sequences = 1; sequences <= 2; ++sequences) {
    CalibrationSet set;
    set.sequences = random_sequences(model.config, sequences, plan.seqlen);
    WorkArea area;
    Report report;
    const Stopwatch watch;
    sparsify(first, set, all, area, report);
    seconds[sequences - 1] = watch.seconds();
  }
  const double sequence = std::max(0.0, seconds[1] - seconds[0]);
  return static_cast<double>(model.blocks.size()) *
         (std::max(0.0, seconds[0] - sequence) + sequence * static_cast<double>(plan.nsamples));
}

}  // namespace pare
