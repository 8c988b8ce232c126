#include "compress/slice/stream_slicing.h"

#include <algorithm>

#include "compress/calibration_walk.h"
#include "model/visit.h"

namespace pare {

namespace {

// Runs a stage, cuts its stream by the Gram matrix seen on the way, and leaves the walk behind the cut stage.
StreamCut cut_and_run(const Stage& stage, int64_t width, double ridge, CalibrationWalk& walk,
                      const std::string& label, StreamBuffer& values) {
  const int64_t columns = stream_columns(stage);
  Matrix<double> gram = Matrix<double>::zeros(columns, columns);
  const Observer add_gram = stream_gram_observer(stage, gram);
  if (stream_kind(stage) == StreamKind::kHidden) {
    walk.peek(stage, label, {add_gram, {}, {}});
    StreamCut cut = cut_stream(stage, std::as_const(gram).view(), width, ridge);
    walk.run(cut.stage, label);
    return cut;
  }
  // Attention costs more than what it hands on takes to keep: the outputs are corrected instead.
  int64_t seen = 0;
  const Observer keep = [&](Signal signal, MatrixView<const float> x) {
    add_gram(signal, x);
    if (signal != Signal::kValueStream) return;
    const MatrixView<float> rows = values.rows(seen, x.rows, x.cols);
    for (int64_t r = 0; r < x.rows; ++r) std::copy_n(x.row(r), x.cols, rows.row(r));
    values.release(rows);
    seen += x.rows;
  };
  walk.run(stage, label, {keep, {}, {}});
  StreamCut cut = cut_stream(stage, std::as_const(gram).view(), width, ridge);
  walk.correct(label, Weight::from_matrix(std::as_const(cut.reader_change).view()), values);
  return cut;
}

// Columns of the widest value stream that will be cut.
int64_t widest_value_stream(const Model& model, const std::vector<int64_t>& widths) {
  int64_t columns = 0;
  size_t index = 0;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages) {
      const int64_t width = widths[index++];
      if (width != 0 && width != stream_width(stage) && stream_kind(stage) == StreamKind::kValue)
        columns = std::max(columns, stream_columns(stage));
    }
  return columns;
}

}  // namespace

std::vector<int64_t> plan_stream_widths(const Model& model, const std::vector<StreamSensitivity>& sensitivity,
                                        const StreamSlicingOptions& options) {
  std::vector<int64_t> widths;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages)
      widths.push_back(stage.branches.empty() ? 0 : stream_width(stage));
  std::vector<WidthCurve> curves;
  for (const StreamSensitivity& s : sensitivity) curves.push_back(s.curve);
  const int64_t surplus = model_size(model).dense_parameters - options.target_parameters;
  const std::vector<int64_t> chosen = allocate_widths(curves, surplus, options.sensitivity.granularity);
  for (size_t i = 0; i < sensitivity.size(); ++i) widths[sensitivity[i].stage] = chosen[i];
  return widths;
}

Model cut_streams(const Model& original, const CalibrationSet& set, const std::vector<int64_t>& widths,
                  double ridge, WorkArea& area, Report& report, const PassProgress& progress) {
  Model model = original;
  CalibrationWalk walk(set, model.config, area, "walk");
  StreamBuffer values = area.stream("values", walk.tokens() * widest_value_stream(model, widths));
  size_t done =
      resume_walk(area, "cut", [&](const Json& record) { return walk.restore(record.at("position")); });
  if (done == 0) {
    walk.start(model.embedding);
    area.record("cut/0", {{"position", walk.position()}});
    done = 1;
  }
  const size_t stages = model.blocks.front().stages.size();
  for (size_t s = 0; s < widths.size(); ++s) {
    Stage& stage = model.blocks[s / stages].stages[s % stages];
    const std::string step = fmt::format("cut/{}", s + 1);
    const std::string file = fmt::format("stage-{}", s);
    const int64_t width = widths[s];
    const bool is_cut = width != 0 && width != stream_width(stage);
    if (s + 1 < done) {
      if (is_cut) stage = area.kept(file, stage);
      add_entries(report, area.find(step)->at("entries"));
      continue;
    }
    if (progress) progress("cutting", static_cast<int64_t>(s), static_cast<int64_t>(widths.size()));
    const std::string label = fmt::format("layer {}", s / stages);
    const ReportMark begin = mark(report);
    if (is_cut) {
      StreamCut cut = cut_and_run(stage, width, ridge, walk, label, values);
      const Role reader = stream_kind(stage) == StreamKind::kHidden ? Role::kDown : Role::kAttentionOutput;
      report.errors.push_back({fmt::format("layers.{}.{}", s / stages, role_name(reader)),
                               stream_width(stage), width, cut.relative_error});
      if (cut.raised > 0)
        report.fallbacks.push_back(
            fmt::format("{} {}: damping raised {} times", label, role_name(reader), cut.raised));
      stage = area.keep(file, cut.stage);
    } else {
      walk.run(stage, label);
    }
    area.record(step, {{"position", walk.position()}, {"entries", entries_since(report, begin)}});
  }
  update_config(model);
  return model;
}

}  // namespace pare
