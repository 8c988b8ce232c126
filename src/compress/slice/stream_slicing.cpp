#include "compress/slice/stream_slicing.h"

#include <algorithm>

#include "compress/calibrate/input_group.h"
#include "compress/calibrate/input_sums.h"
#include "compress/slice/spectrum.h"

namespace pare {

namespace {

// The streams of one stage that get narrower.
struct StageCuts {
  std::vector<size_t> branches;
  std::vector<int64_t> widths;

  // Returns whether the outputs of the uncut stage can be corrected: only a value stream is cut, and its
  // reader's output is added to the residual stream as it is.
  bool correctable(const Stage& stage) const {
    return branches.size() == 1 && stream_kind(stage, branches.front()) == StreamKind::kValue &&
           stage.norm_place == NormPlace::kInput;
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

// Returns the columns of the widest value stream whose inputs are kept.
int64_t widest_value_stream(const Model& model, const std::vector<StageCuts>& cuts) {
  int64_t columns = 0;
  size_t index = 0;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages) {
      const StageCuts& own = cuts[index++];
      if (own.correctable(stage)) columns = std::max(columns, stream_columns(stage, own.branches.front()));
    }
  return columns;
}

class StreamCutEditor final : public StageEditor {
 public:
  StreamCutEditor(const Model& model, const std::vector<int64_t>& widths, double ridge, WorkArea& area,
                  int64_t tokens)
      : cuts_(cuts_by_stage(model, widths)),
        ridge_(ridge),
        values_(area, "values", tokens * widest_value_stream(model, cuts_)) {}

  std::string activity() const override { return "cutting"; }

  Stage edit(const Stage& stage, StagePosition position, const StageStreams& streams, bool advance,
             Report& report) override {
    const StageCuts& cuts = cuts_[position.index];
    const std::string label = fmt::format("layer {}", position.block);
    if (cuts.branches.empty()) {
      if (advance) streams.walk.run(stage, label);
      return stage;
    }
    const std::vector<StreamCut> done = cut(stage, cuts, streams.walk, label, advance);
    for (size_t i = 0; i < done.size(); ++i) {
      const size_t branch = cuts.branches[i];
      const Role reader = stream_reader(stage, branch);
      const std::string name = linear_name(position.block, reader);
      report.add("errors", {{"name", name},
                            {"width_before", stream_width(stage, branch)},
                            {"width_after", cuts.widths[i]},
                            {"relative_error", done[i].relative_error}});
      add_spectrum(report, name, stream_width(stage, branch), cuts.widths[i], done[i].spectrum);
      if (done[i].raised > 0)
        report.fallbacks.push_back(
            fmt::format("{} {}: damping raised {} times", label, role_name(reader), done[i].raised));
    }
    return done.back().stage;
  }

 private:
  // Runs the stage and cuts its streams by the Gram matrices of that run; the last cut has the stage.
  std::vector<StreamCut> cut(const Stage& stage, const StageCuts& cuts, CalibrationWalk& walk,
                             const std::string& label, bool advance) {
    const bool correct = advance && cuts.correctable(stage);
    const auto run = [&](const Observer& add_grams) {
      if (correct)
        walk.run(stage, label, {add_grams, {}, {}});
      else
        walk.peek(stage, label, {add_grams, {}, {}});
    };
    const std::vector<Matrix<double>> grams =
        run_for_grams(stage, cuts.branches, walk.split(), run, correct ? &values_ : nullptr);
    std::vector<StreamCut> done;
    for (size_t i = 0; i < cuts.branches.size(); ++i)
      done.push_back(cut_stream(done.empty() ? stage : done.back().stage, grams[i].view(), cuts.widths[i],
                                ridge_, cuts.branches[i]));
    // Attention costs more than keeping its values, so the outputs are corrected instead of run again.
    if (correct)
      walk.correct(label, Weight::from_matrix(std::as_const(done.back().reader_change).view()),
                   values_.buffer());
    else if (advance)
      walk.run(done.back().stage, label);
    return done;
  }

  std::vector<StageCuts> cuts_;
  double ridge_;
  KeptRows values_;  // input rows of the current value stream's reader
};

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

std::unique_ptr<StageEditor> stream_cutter(const Model& model, const CalibrationSet& set,
                                           const std::vector<int64_t>& widths, double ridge, WorkArea& area) {
  return std::make_unique<StreamCutEditor>(model, widths, ridge, area, own_tokens(set, area));
}

}  // namespace pare
