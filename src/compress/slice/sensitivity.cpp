#include "compress/slice/sensitivity.h"

#include <algorithm>

#include "compress/walk/calibration_walk.h"
#include "compress/walk/stage_loop.h"
#include "compress/walk/stage_losses.h"

namespace pare {
namespace {

constexpr int64_t kSmallestKnot = 2;  // a quarter of the width stays at least

bool is_wanted(const Stage& stage, size_t branch, const SensitivityOptions& options) {
  return stream_kind(stage, branch) == StreamKind::kHidden ? options.hidden : options.value;
}

std::vector<size_t> wanted_branches(const Stage& stage, const SensitivityOptions& options) {
  std::vector<size_t> wanted;
  for (size_t branch = 0; branch < stage.branches.size(); ++branch)
    if (is_wanted(stage, branch, options)) wanted.push_back(branch);
  return wanted;
}

// Returns the width of a knot: a multiple of the granularity for hidden streams; the few dimensions of a head
// are taken as they come.
int64_t knot_width(const Stage& stage, size_t branch, int64_t knot, int64_t granularity) {
  const int64_t width = std::max<int64_t>(1, stream_width(stage, branch) * knot / kKnots);
  if (stream_kind(stage, branch) == StreamKind::kValue || width < granularity) return width;
  return width / granularity * granularity;
}

// A curve before its cuts have reached the end of the model.
struct OpenCurve {
  StreamPlace place;
  WidthCurve curve;           // without losses
  std::vector<double> local;  // local error of each width
  std::vector<int64_t> cut;   // index of the cut that was sent through the model, −1: none
};

Json to_json(const OpenCurve& open) {
  return {{"stage", open.place.stage},
          {"branch", open.place.branch},
          {"parameters_per_width", open.curve.parameters_per_width},
          {"widths", open.curve.widths},
          {"local", open.local},
          {"cut", open.cut}};
}

OpenCurve open_curve(const Json& json) {
  OpenCurve open;
  open.place = {json.at("stage").get<size_t>(), json.at("branch").get<size_t>()};
  open.curve.parameters_per_width = json.at("parameters_per_width").get<int64_t>();
  open.curve.widths = json.at("widths").get<std::vector<int64_t>>();
  open.local = json.at("local").get<std::vector<double>>();
  open.cut = json.at("cut").get<std::vector<int64_t>>();
  return open;
}

// Begins a curve. `cuts` receives the stages to send through the model; the first gets index `first_cut`.
OpenCurve begin_curve(const Stage& stage, StreamPlace place, MatrixView<const double> gram,
                      const SensitivityOptions& options, int64_t first_cut, std::vector<Stage>& cuts) {
  OpenCurve open;
  open.place = place;
  open.curve.parameters_per_width = parameters_per_width(stage, place.branch);
  const int64_t full = stream_width(stage, place.branch);
  open.curve.widths = {full};
  open.local = {0.0};
  open.cut = {-1};
  std::optional<StreamCutter> cutter;
  for (int64_t knot = kKnots - 1; knot >= kSmallestKnot; --knot) {
    const int64_t width = knot_width(stage, place.branch, knot, options.granularity);
    if (width >= open.curve.widths.back()) continue;
    if (!cutter) cutter.emplace(stage, gram, width, options.ridge, place.branch);
    const bool measured =
        std::find(std::begin(kMeasuredKnots), std::end(kMeasuredKnots), knot) != std::end(kMeasuredKnots);
    open.curve.widths.push_back(width);
    open.local.push_back(std::max({cutter->local_error(width), open.local.back(), 1e-12}));
    open.cut.push_back(measured ? first_cut + static_cast<int64_t>(cuts.size()) : -1);
    if (measured) cuts.push_back(cutter->cut(width).stage);
  }
  return open;
}

// Fills the ratio of loss to local error between measured widths, the nearest one outside them; then loss =
// ratio · local error, made monotone.
WidthCurve close_curve(OpenCurve open, const std::vector<double>& losses) {
  std::vector<double> ratio(open.local.size(), 0.0);
  std::vector<size_t> known;
  for (size_t i = 1; i < ratio.size(); ++i) {
    if (open.cut[i] < 0) continue;
    ratio[i] = std::max(0.0, losses[static_cast<size_t>(open.cut[i])]) / open.local[i];
    if (ratio[i] > 0.0) known.push_back(i);
  }
  WidthCurve curve = std::move(open.curve);
  curve.loss = {0.0};
  for (size_t i = 1; i < ratio.size(); ++i) {
    double r = 0.0;
    if (!known.empty()) {
      const auto after = std::lower_bound(known.begin(), known.end(), i);
      if (after == known.begin()) {
        r = ratio[known.front()];
      } else if (after == known.end()) {
        r = ratio[known.back()];
      } else {
        const size_t a = *(after - 1);
        const size_t b = *after;
        const double t = static_cast<double>(i - a) / static_cast<double>(b - a);
        r = (1.0 - t) * ratio[a] + t * ratio[b];
      }
    }
    curve.loss.push_back(std::max(curve.loss.back(), r * open.local[i]));
  }
  return curve;
}

// Percent of the measurement done: behind every cut the rest of the model runs, so later stages take longer.
class Share {
 public:
  Share(const PassProgress& progress, int64_t gram_tokens, int64_t probe_tokens)
      : progress_(progress), gram_tokens_(gram_tokens), probe_tokens_(probe_tokens) {}
  void plan(int64_t cuts) {
    copies_ += cuts;
    total_ += gram_tokens_ + copies_ * probe_tokens_;
  }
  void show(double done) const {
    if (progress_ && total_ > 0)
      progress_("measuring (%)", static_cast<int64_t>(100.0 * done / static_cast<double>(total_)), 100);
  }
  double stage(int64_t copies) const { return static_cast<double>(gram_tokens_ + copies * probe_tokens_); }

 private:
  const PassProgress& progress_;
  int64_t gram_tokens_, probe_tokens_;
  int64_t copies_ = 1;
  int64_t total_ = 0;
};

}  // namespace

std::vector<StreamSensitivity> cuttable_streams(const Model& model, const SensitivityOptions& options) {
  std::vector<StreamSensitivity> streams;
  for (const StreamPlace place : streams_of(model)) {
    const Stage& stage = stage_at(model, place.stage);
    if (!is_wanted(stage, place.branch, options)) continue;
    WidthCurve curve{parameters_per_width(stage, place.branch), {stream_width(stage, place.branch)}, {0.0}};
    const int64_t smallest = knot_width(stage, place.branch, kSmallestKnot, options.granularity);
    if (smallest < curve.widths.front()) {
      curve.widths.push_back(smallest);
      curve.loss.push_back(1.0);
    }
    streams.push_back({place, std::move(curve)});
  }
  return streams;
}

std::vector<StreamSensitivity> measure_sensitivity(const Model& model, const CalibrationSet& set,
                                                   const SensitivityOptions& options, WorkArea& area,
                                                   const PassProgress& progress) {
  const auto [gram_set, probe_set] = split_for_measuring(set, options.sizes);
  std::vector<const Stage*> stages;
  Share share(progress, gram_set.tokens(), probe_set.tokens());
  int64_t max_cuts = 0;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages) {
      stages.push_back(&stage);
      const int64_t cuts = kCutsPerStream * static_cast<int64_t>(wanted_branches(stage, options).size());
      max_cuts += cuts;
      share.plan(cuts);
    }

  std::vector<OpenCurve> open;
  std::vector<double> losses;
  if (const Json* measured = area.find("losses")) {
    for (const Json& curve : measured->at("curves")) open.push_back(open_curve(curve));
    losses = measured->at("losses").get<std::vector<double>>();
  } else {
    CalibrationWalk walk(gram_set, model.config, area, "measure");
    StageLosses probe(model, probe_set, max_cuts, area, "probe");
    StageLoop loop(area, "measure", {{"walk", walk}, {"probe", probe}});
    if (loop.is_new()) {
      walk.start(model);
      probe.start();
      loop.begin();
    }
    double work = 0.0;
    for (size_t s = 0; s < stages.size(); ++s) {
      const Stage& stage = *stages[s];
      if (const Json* finished = loop.finished(s)) {
        for (const Json& curve : finished->at("curves")) open.push_back(open_curve(curve));
        work += share.stage(finished->at("copies").get<int64_t>());
        continue;
      }
      share.show(work);
      const std::string label = fmt::format("layer {}", s / model.blocks.front().stages.size());
      std::vector<Stage> cuts;
      Json record = {{"curves", Json::array()}};
      const std::vector<size_t> wanted = wanted_branches(stage, options);
      const std::vector<Matrix<double>> grams =
          run_for_grams(stage, wanted, walk.split(), [&](const Observer& observer) {
            walk.run(stage, label, {observer, {}, {}});
          });
      for (size_t i = 0; i < wanted.size(); ++i) {
        open.push_back(begin_curve(stage, {s, wanted[i]}, grams[i].view(), options, probe.variants(), cuts));
        record["curves"].push_back(to_json(open.back()));
      }
      probe.advance(stage, cuts);
      record["copies"] = 1 + probe.variants();
      work += share.stage(1 + probe.variants());
      loop.record(s, std::move(record));
      release_pages(stage);
    }
    share.show(work);
    losses = probe.losses();
    Json curves = Json::array();
    for (const OpenCurve& curve : open) curves.push_back(to_json(curve));
    area.record("losses", {{"curves", curves}, {"losses", losses}});
  }
  for (const char* name : {"measure-0", "measure-1", "probe-0", "probe-1"}) area.forget_stream(name);
  std::vector<StreamSensitivity> result;
  for (OpenCurve& curve : open) {
    const StreamPlace place = curve.place;
    result.push_back({place, close_curve(std::move(curve), losses)});
  }
  return result;
}

}  // namespace pare
