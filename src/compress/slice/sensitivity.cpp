#include "compress/slice/sensitivity.h"

#include <algorithm>

#include "compress/calibration_walk.h"
#include "compress/slice/tail_probe.h"

namespace pare {
namespace {

constexpr int64_t kKnots = 8;                    // widths with a local error: eighths of the full width
constexpr int64_t kSmallestKnot = 2;             // a quarter of the width stays at least
constexpr int64_t kMeasuredKnots[] = {6, 4, 2};  // of which these are measured end to end

CalibrationSet subset(const CalibrationSet& set, size_t first, size_t count, size_t tokens) {
  CalibrationSet part;
  for (size_t i = first; i < first + count; ++i) {
    part.sequences.push_back(set.sequences[i % set.sequences.size()]);
    part.sequences.back().resize(std::min(tokens, part.sequences.back().size()));
  }
  return part;
}

bool is_wanted(const Stage& stage, const SensitivityOptions& options) {
  if (stage.branches.empty()) return false;
  return stream_kind(stage) == StreamKind::kHidden ? options.hidden : options.value;
}

// Widths of hidden streams stay multiples of the granularity; the few dimensions of a head are taken as they
// come.
int64_t knot_width(const Stage& stage, int64_t knot, int64_t granularity) {
  const int64_t width = std::max<int64_t>(1, stream_width(stage) * knot / kKnots);
  if (stream_kind(stage) == StreamKind::kValue || width < granularity) return width;
  return width / granularity * granularity;
}

WidthCurve measure_curve(const Stage& stage, MatrixView<const double> gram, const SensitivityOptions& options,
                         TailProbe& probe) {
  WidthCurve curve;
  curve.parameters_per_width = parameters_per_width(stage);
  const int64_t full = stream_width(stage);
  curve.widths = {full};
  std::vector<double> local = {0.0};
  std::vector<double> ratio = {0.0};  // measured loss / local error; 0: not measured
  for (int64_t knot = kKnots - 1; knot >= kSmallestKnot; --knot) {
    const int64_t width = knot_width(stage, knot, options.granularity);
    if (width >= curve.widths.back()) continue;
    const StreamCut cut = cut_stream(stage, gram, width, options.ridge);
    const double error = std::max({cut.relative_error, local.back(), 1e-12});
    const bool measured =
        std::find(std::begin(kMeasuredKnots), std::end(kMeasuredKnots), knot) != std::end(kMeasuredKnots);
    curve.widths.push_back(width);
    local.push_back(error);
    ratio.push_back(measured ? std::max(0.0, probe.kl_with(cut.stage)) / error : 0.0);
  }
  // Fill the ratio between measured knots, nearest outside them; then loss = ratio · local error, made
  // monotone.
  std::vector<size_t> known;
  for (size_t i = 1; i < ratio.size(); ++i)
    if (ratio[i] > 0.0) known.push_back(i);
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
    curve.loss.push_back(std::max(curve.loss.back(), r * local[i]));
  }
  return curve;
}

}  // namespace

std::vector<StreamSensitivity> measure_sensitivity(const Model& model, const CalibrationSet& set,
                                                   const SensitivityOptions& options,
                                                   const StepProgress& progress) {
  const size_t count = set.sequences.size();
  const size_t gram_count = std::min(static_cast<size_t>(options.gram_sequences), count);
  const size_t probe_count = std::min(static_cast<size_t>(options.probe_sequences), count);
  const CalibrationSet gram_set = subset(set, 0, gram_count, static_cast<size_t>(set.seqlen()));
  // From the end: other text than the Gram matrices saw, unless there is too little of it.
  const CalibrationSet probe_set =
      subset(set, count - probe_count, probe_count, static_cast<size_t>(options.probe_tokens));
  CalibrationWalk walk(gram_set, model.config);
  walk.start(model.embedding);
  TailProbe probe(model, probe_set.sequences);
  std::vector<StreamSensitivity> result;
  size_t index = 0;
  const auto total = static_cast<int64_t>(model.blocks.size());
  for (int64_t b = 0; b < total; ++b) {
    for (const Stage& stage : model.blocks[static_cast<size_t>(b)].stages) {
      const std::string label = fmt::format("layer {}", b);
      if (is_wanted(stage, options)) {
        Matrix<double> gram = Matrix<double>::zeros(stream_columns(stage), stream_columns(stage));
        walk.run(stage, label, stream_gram_observer(stage, gram));
        result.push_back({index, measure_curve(stage, std::as_const(gram).view(), options, probe)});
      } else {
        walk.run(stage, label);
      }
      probe.advance();
      ++index;
    }
    if (progress) progress(b + 1, total);
  }
  return result;
}

}  // namespace pare
