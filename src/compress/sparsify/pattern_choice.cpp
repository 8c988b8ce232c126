#include "compress/sparsify/pattern_choice.h"

#include <algorithm>

#include "compress/budget.h"
#include "compress/calibrate/linear_calibration.h"
#include "compress/calibrate/selection.h"
#include "compress/sparsify/sparse_solver.h"
#include "compress/walk/calibration_walk.h"
#include "compress/walk/stage_loop.h"
#include "compress/walk/stage_losses.h"
#include "model/visit.h"

namespace pare {
namespace {

int64_t stored_bytes(const Weight& weight, Pattern pattern) {
  const int64_t mask = pattern.dense() ? 0 : Weight::mask_row_bytes(weight.cols);
  return weight.rows * (Weight::stored_cols(weight.cols, pattern) * kBudgetValueBytes + mask);
}

// Bytes of the linears of a stage that are made sparse.
int64_t stage_bytes(const Stage& stage, int64_t block, Pattern pattern, const Selection& selection,
                    const ModelConfig& config) {
  int64_t bytes = 0;
  for_each_linear(stage, [&](Role role, const Linear& linear) {
    if (selection.selects(config, block, role)) bytes += stored_bytes(linear.weight, pattern);
  });
  return bytes;
}

// One pattern for all stages that have linears to work on: KL(dense || only this stage sparse) of each.
class PatternMeasurement {
 public:
  PatternMeasurement(const Model& model, const CalibrationSet& set, const SparsifyOptions& options,
                     std::span<const int64_t> residual_order, Pattern pattern, WorkArea& area)
      : model_(model),
        residual_order_(residual_order.begin(), residual_order.end()),
        options_(options),
        area_(area),
        name_(fmt::format("measure-{}of{}", pattern.kept, pattern.group)),
        sets_(split_for_measuring(set)) {
    options_.prune.pattern = pattern;
    options_.sequential = false;
    options_.match = MatchOutput::kLayer;
    options_.shuffle = {};
  }

  // `worked_on`: whether each stage has linears to work on.
  std::vector<double> losses(const std::vector<bool>& worked_on, const PassProgress& progress) {
    if (const Json* measured = area_.find(name_)) return measured->at("losses").get<std::vector<double>>();
    std::vector<double> losses = measure(worked_on, progress);
    area_.record(name_, {{"losses", losses}});
    for (const char* part : {"-0", "-1", "-probe-0", "-probe-1", "-inputs"})
      area_.forget_stream(name_ + part);
    return losses;
  }

 private:
  std::vector<double> measure(const std::vector<bool>& worked_on, const PassProgress& progress) {
    const auto variants = std::count(worked_on.begin(), worked_on.end(), true);
    CalibrationWalk walk(sets_.gram, model_.config, area_, name_);
    StageLosses probe(model_, sets_.probe, variants, area_, name_ + "-probe");
    const std::vector<Pattern> everywhere(worked_on.size(), options_.prune.pattern);
    LinearCalibration sparsifier(
        std::make_unique<SparseSolver>(options_, model_.config, everywhere, residual_order_), options_,
        model_, area_, walk.tokens(), name_ + "-inputs");
    StageLoop loop(area_, name_, {{"walk", walk}, {"probe", probe}});
    if (loop.is_new()) {
      walk.start(model_);
      probe.start();
      loop.begin();
    }
    size_t index = 0;
    for (size_t b = 0; b < model_.blocks.size(); ++b)
      for (const Stage& original : model_.blocks[b].stages) {
        const size_t s = index++;
        if (loop.finished(s) != nullptr) continue;
        const Stage stage = sparsifier.rearranged(original);
        if (progress)
          progress("measuring " + pattern_name(options_.prune.pattern), static_cast<int64_t>(s),
                   static_cast<int64_t>(worked_on.size()));
        std::vector<Stage> sparse;
        Report unused;
        if (worked_on[s])
          sparse.push_back(
              sparsifier.edit(stage, {s, static_cast<int64_t>(b)}, {walk, nullptr}, true, unused));
        else
          walk.run(stage, fmt::format("layer {}", b));
        probe.advance(stage, sparse);
        release_pages(original);
        loop.record(s);
      }
    return probe.losses();
  }

  const Model& model_;
  std::vector<int64_t> residual_order_;
  SparsifyOptions options_;
  WorkArea& area_;
  std::string name_;
  MeasuringSets sets_;
};

}  // namespace

std::vector<Pattern> choose_patterns(const Model& model, const CalibrationSet& set,
                                     const SparsifyOptions& options, std::span<const int64_t> residual_order,
                                     WorkArea& area, const PassProgress& progress) {
  if (!options.target_bytes) {
    size_t stages = 0;
    for (const Block& block : model.blocks) stages += block.stages.size();
    return std::vector<Pattern>(stages, options.prune.pattern);
  }
  const Selection selection(options.targets, options.ignore);
  const std::vector<Pattern> patterns = pattern_candidates(options);
  std::vector<bool> worked_on;
  std::vector<WidthCurve> curves;
  const int64_t dense_bytes = model_size(model).dense_parameters * kBudgetValueBytes;
  int64_t bytes = dense_bytes;  // bytes with the densest pattern everywhere
  int64_t least = dense_bytes;
  for (size_t b = 0; b < model.blocks.size(); ++b)
    for (const Stage& stage : model.blocks[b].stages) {
      WidthCurve curve;
      curve.parameters_per_width = 1;
      for (const Pattern pattern : patterns)
        curve.widths.push_back(stage_bytes(stage, static_cast<int64_t>(b), pattern, selection, model.config));
      const int64_t dense = stage_bytes(stage, static_cast<int64_t>(b), kDense, selection, model.config);
      worked_on.push_back(dense > 0);
      bytes += curve.widths.front() - dense;
      least += curve.widths.back() - dense;
      if (dense > 0) curves.push_back(std::move(curve));
    }
  const auto wanted = static_cast<int64_t>(*options.target_bytes * static_cast<double>(dense_bytes));
  if (wanted < least)
    fail(ErrorCode::kInvalid, "`target_bytes` {}: with {} everywhere the model keeps {:.3f} of its bytes",
         *options.target_bytes, pattern_name(patterns.back()),
         static_cast<double>(least) / static_cast<double>(dense_bytes));
  for (const Pattern pattern : patterns) {
    std::vector<double> losses(curves.size(), 0.0);
    if (!pattern.dense())
      losses =
          PatternMeasurement(model, set, options, residual_order, pattern, area).losses(worked_on, progress);
    for (size_t i = 0; i < curves.size(); ++i) {
      WidthCurve& curve = curves[i];
      curve.loss.push_back(curve.loss.empty() ? losses[i] : std::max(losses[i], curve.loss.back()));
    }
  }
  int64_t largest = 1;
  for (const WidthCurve& curve : curves) largest = std::max(largest, curve.widths.front());
  const std::vector<int64_t> chosen = allocate_widths(curves, std::max<int64_t>(0, bytes - wanted), largest);
  std::vector<Pattern> result;
  size_t next = 0;
  for (const bool has_linears : worked_on) {
    result.push_back(options.prune.pattern);
    if (!has_linears) continue;
    const auto& widths = curves[next].widths;
    const auto at = std::find(widths.begin(), widths.end(), chosen[next++]) - widths.begin();
    result.back() = patterns[static_cast<size_t>(at)];
  }
  return result;
}

}  // namespace pare
