#include "compress/calibrate/calibration_cost.h"

#include <algorithm>

#include "compress/calibrate/linear_solver.h"
#include "compress/estimate.h"
#include "model/visit.h"

namespace pare {
namespace {

// Bytes of a weight as stored, and in another order.
int64_t bytes_twice(const Weight& weight) {
  return weight.bytes() + weight.rows * row_bytes(permuted_encoding(weight), weight.cols);
}

}  // namespace

CalibrationWidths calibration_widths(const Model& model) {
  CalibrationWidths widths;
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

Needs calibration_needs(const Model& model, const LinearCalibrationOptions& options,
                        const CalibrationPlan& plan, Encoding dtype, int64_t solving) {
  const CalibrationWidths w = calibration_widths(model);
  const int64_t width = model.config.stream_width();
  const bool dense = options.match == MatchOutput::kModel;
  // Matrices (in, in) while they are summed up: the total and the sum of a chunk, of inputs, and with
  // outputs.
  const int64_t sums = 2 * (dense ? 2 : 1) * w.widest * w.widest * 8;
  const int64_t signals = plan.seqlen * (3 * w.widest + 6 * width) * 4;
  const int64_t summing = sums + w.parameters * 4 + signals;  // the packed stage
  Needs needs;
  needs.memory = kProgramMemory + std::max(summing, solving + 4 * w.largest * 4) + w.bytes +
                 w.parameters * 4;  // the last: the changed stage, in f32
  const bool behind = model.config.design.norm_place != NormPlace::kInput;
  const int64_t streams = dense ? (behind ? 5 : 4) : 2;
  needs.activations = plan.own_tokens() * (streams * width + w.widest) * 4;
  needs.disk = needs.activations + 2 * model_size(model).dense_parameters * row_bytes(dtype, 1);
  return needs;
}

LayerSeconds seconds_of_first_layer(const Model& model, int64_t seqlen, const LayerWork& work) {
  Model first = model;
  first.blocks.resize(1);
  update_config(first);
  double seconds[2] = {};
  for (int64_t sequences = 1; sequences <= 2; ++sequences) {
    CalibrationSet set;
    set.sequences = random_sequences(model.config, sequences, seqlen);
    const Stopwatch watch;
    work(first, set);
    seconds[sequences - 1] = watch.seconds();
  }
  const double sequence = std::max(0.0, seconds[1] - seconds[0]);
  return {std::max(0.0, seconds[0] - sequence), sequence};
}

LayerSeconds seconds_of_layer(const Model& model, const CalibrationPlan& plan, const MakeEditor& make) {
  return seconds_of_first_layer(model, plan.seqlen, [&](const Model& first, const CalibrationSet& set) {
    WorkArea area;
    Report report;
    Model changed = first;
    StageEditors editors;
    editors.push_back(make(changed, set, area, report));
    edit_stages(changed, set, editors, area, report);
  });
}

}  // namespace pare
