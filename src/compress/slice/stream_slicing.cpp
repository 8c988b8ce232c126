#include "compress/slice/stream_slicing.h"

#include <algorithm>

#include "compress/calibration_walk.h"
#include "model/visit.h"

namespace pare {

std::vector<int64_t> plan_stream_widths(const Model& model, const std::vector<StreamSensitivity>& sensitivity,
                                        const StreamSlicingOptions& options) {
  std::vector<int64_t> widths;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages)
      widths.push_back(stage.branches.empty() ? 0 : stream_width(stage));
  std::vector<WidthCurve> curves;
  for (const StreamSensitivity& s : sensitivity) curves.push_back(s.curve);
  const int64_t surplus = model_size(model).parameters - options.target_parameters;
  const std::vector<int64_t> chosen = allocate_widths(curves, surplus, options.sensitivity.granularity);
  for (size_t i = 0; i < sensitivity.size(); ++i) widths[sensitivity[i].stage] = chosen[i];
  return widths;
}

Model cut_streams(const Model& original, const CalibrationSet& set, const std::vector<int64_t>& widths,
                  double ridge, Report& report, const StepProgress& progress) {
  Model model = original;
  CalibrationWalk walk(set, model.config);
  walk.start(model.embedding);
  size_t index = 0;
  const auto total = static_cast<int64_t>(model.blocks.size());
  for (int64_t b = 0; b < total; ++b) {
    for (Stage& stage : model.blocks[static_cast<size_t>(b)].stages) {
      const int64_t width = widths[index++];
      const std::string label = fmt::format("layer {}", b);
      if (width == 0 || width == stream_width(stage)) {
        walk.run(stage, label);
        continue;
      }
      const StreamKind kind = stream_kind(stage);
      Matrix<double> gram = Matrix<double>::zeros(stream_columns(stage), stream_columns(stage));
      walk.peek(stage, label, stream_gram_observer(stage, gram));
      StreamCut cut = cut_stream(stage, std::as_const(gram).view(), width, ridge);
      const Role reader = kind == StreamKind::kHidden ? Role::kDown : Role::kAttentionOutput;
      report.errors.push_back({fmt::format("layers.{}.{}", b, role_name(reader)), stream_width(stage), width,
                               cut.relative_error});
      if (cut.raised > 0)
        report.fallbacks.push_back(
            fmt::format("layer {} {}: damping raised {} times", b, role_name(reader), cut.raised));
      stage = std::move(cut.stage);
      walk.run(stage, label);
    }
    if (progress) progress(b + 1, total);
  }
  update_config(model);
  return model;
}

}  // namespace pare
