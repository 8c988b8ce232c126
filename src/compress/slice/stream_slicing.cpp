#include "compress/slice/stream_slicing.h"

#include <algorithm>

#include "compress/calibration_walk.h"
#include "model/visit.h"

namespace pare {

namespace {

// The streams of one stage that get narrower.
struct StageCuts {
  std::vector<size_t> branches;
  std::vector<int64_t> widths;

  bool only_values(const Stage& stage) const {
    return branches.size() == 1 && stream_kind(stage, branches.front()) == StreamKind::kValue;
  }
};

std::vector<StageCuts> cuts_by_stage(const Model& model, const std::vector<int64_t>& widths) {
  const std::vector<StreamPlace> streams = streams_of(model);
  PARE_CHECK(streams.size() == widths.size());
  std::vector<StageCuts> cuts(model.blocks.size() * model.blocks.front().stages.size());
  for (size_t i = 0; i < streams.size(); ++i) {
    const auto [stage, branch] = streams[i];
    if (widths[i] == stream_width(stage_at(model, stage), branch)) continue;
    cuts[stage].branches.push_back(branch);
    cuts[stage].widths.push_back(widths[i]);
  }
  return cuts;
}

// Runs a stage, cuts its streams by the Gram matrices seen on the way, and leaves the walk behind the cut
// stage, that of the last cut.
std::vector<StreamCut> cut_and_run(const Stage& stage, const StageCuts& cuts, double ridge,
                                   CalibrationWalk& walk, const std::string& label, StreamBuffer& values) {
  const bool correct = cuts.only_values(stage);
  int64_t seen = 0;
  const auto keep = [&](MatrixView<const float> x) {
    const MatrixView<float> rows = values.rows(seen, x.rows, x.cols);
    for (int64_t r = 0; r < x.rows; ++r) std::copy_n(x.row(r), x.cols, rows.row(r));
    values.release(rows);
    seen += x.rows;
  };
  const std::vector<Matrix<double>> grams =
      run_for_grams(stage, cuts.branches, [&](const Observer& add_grams) {
        if (!correct) return walk.peek(stage, label, {add_grams, {}, {}});
        const Observer both = [&](Signal signal, MatrixView<const float> x) {
          add_grams(signal, x);
          if (signal == Signal::kValueStream) keep(x);
        };
        walk.run(stage, label, {both, {}, {}});
      });
  std::vector<StreamCut> done;
  for (size_t i = 0; i < cuts.branches.size(); ++i)
    done.push_back(cut_stream(done.empty() ? stage : done.back().stage, grams[i].view(), cuts.widths[i],
                              ridge, cuts.branches[i]));
  // Attention costs more than what it hands on takes to keep: the outputs are corrected instead.
  if (correct)
    walk.correct(label, Weight::from_matrix(std::as_const(done.back().reader_change).view()), values);
  else
    walk.run(done.back().stage, label);
  return done;
}

// Columns of the widest value stream whose inputs are kept.
int64_t widest_value_stream(const Model& model, const std::vector<StageCuts>& cuts) {
  int64_t columns = 0;
  size_t index = 0;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages) {
      const StageCuts& own = cuts[index++];
      if (own.only_values(stage)) columns = std::max(columns, stream_columns(stage, own.branches.front()));
    }
  return columns;
}

}  // namespace

std::vector<int64_t> plan_stream_widths(const Model& model, const std::vector<StreamSensitivity>& sensitivity,
                                        const StreamSlicingOptions& options) {
  const std::vector<StreamPlace> streams = streams_of(model);
  std::vector<int64_t> widths;
  for (const auto [stage, branch] : streams) widths.push_back(stream_width(stage_at(model, stage), branch));
  std::vector<WidthCurve> curves;
  for (const StreamSensitivity& s : sensitivity) curves.push_back(s.curve);
  const int64_t surplus = model_size(model).dense_parameters - options.target_parameters;
  const std::vector<int64_t> chosen = allocate_widths(curves, surplus, options.sensitivity.granularity);
  for (size_t i = 0; i < sensitivity.size(); ++i) {
    const auto at = std::find(streams.begin(), streams.end(), sensitivity[i].place);
    widths[static_cast<size_t>(at - streams.begin())] = chosen[i];
  }
  return widths;
}

Model cut_streams(const Model& original, const CalibrationSet& set, const std::vector<int64_t>& widths,
                  double ridge, WorkArea& area, Report& report, const PassProgress& progress) {
  Model model = original;
  const std::vector<StageCuts> cuts = cuts_by_stage(model, widths);
  CalibrationWalk walk(set, model.config, area, "walk");
  StreamBuffer values = area.stream("values", walk.tokens() * widest_value_stream(model, cuts));
  size_t done =
      resume_walk(area, "cut", [&](const Json& record) { return walk.restore(record.at("position")); });
  if (done == 0) {
    walk.start(model);
    area.record("cut/0", {{"position", walk.position()}});
    done = 1;
  }
  const size_t stages = model.blocks.front().stages.size();
  for (size_t s = 0; s < cuts.size(); ++s) {
    Stage& stage = stage_at(model, s);
    const std::string step = fmt::format("cut/{}", s + 1);
    const std::string file = fmt::format("stage-{}", s);
    const bool is_cut = !cuts[s].branches.empty();
    if (s + 1 < done) {
      if (is_cut) stage = area.kept(file, stage);
      add_entries(report, area.find(step)->at("entries"));
      continue;
    }
    if (progress) progress("cutting", static_cast<int64_t>(s), static_cast<int64_t>(cuts.size()));
    const std::string label = fmt::format("layer {}", s / stages);
    const ReportMark begin = mark(report);
    if (is_cut) {
      const std::vector<StreamCut> done_here = cut_and_run(stage, cuts[s], ridge, walk, label, values);
      for (size_t i = 0; i < done_here.size(); ++i) {
        const size_t branch = cuts[s].branches[i];
        const bool hidden = stream_kind(stage, branch) == StreamKind::kHidden;
        const std::string_view reader = role_name(hidden ? Role::kDown : Role::kAttentionOutput);
        report.errors.push_back({fmt::format("layers.{}.{}", s / stages, reader), stream_width(stage, branch),
                                 cuts[s].widths[i], done_here[i].relative_error});
        if (done_here[i].raised > 0)
          report.fallbacks.push_back(
              fmt::format("{} {}: damping raised {} times", label, reader, done_here[i].raised));
      }
      stage = area.keep(file, done_here.back().stage);
    } else {
      walk.run(stage, label);
    }
    area.record(step, {{"position", walk.position()}, {"entries", entries_since(report, begin)}});
  }
  update_config(model);
  return model;
}

}  // namespace pare
