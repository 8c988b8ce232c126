// Measures how much each stream of a model can be cut: loss against width.
#pragma once

#include <cstdint>
#include <iterator>
#include <vector>

#include "compress/budget.h"
#include "compress/progress.h"
#include "compress/resume/work_area.h"
#include "compress/slice/streams.h"
#include "compress/walk/calibration_set.h"

namespace pare {

inline constexpr int64_t kKnots = 8;  // widths with a local error: eighths of the full width
inline constexpr int64_t kMeasuredKnots[] = {6, 4, 2};  // knots that are measured end to end
// Most cuts of a stream that are sent through the model.
inline constexpr auto kCutsPerStream = static_cast<int64_t>(std::size(kMeasuredKnots));

struct SensitivityOptions {
  bool hidden = true;  // kinds of streams to measure
  bool value = true;
  double ridge = 1e-3;
  int64_t granularity = 8;  // widths of hidden streams are multiples of it
  MeasuringSizes sizes;
};

// A stream that may be cut.
struct StreamSensitivity {
  StreamPlace place;
  WidthCurve curve;  // loss: KL(dense || model with only this stream cut), nats per token
};

// Returns the streams that will be measured, at full width and at the smallest width that will be tried, with
// losses of 0 and 1: these are the largest cuts possible.
std::vector<StreamSensitivity> cuttable_streams(const Model& model, const SensitivityOptions& options);

// Cuts each stream alone to several widths and measures the change of the predictions. Between the measured
// widths the loss follows the local error of the refit, which costs no forward pass.
std::vector<StreamSensitivity> measure_sensitivity(const Model& model, const CalibrationSet& set,
                                                   const SensitivityOptions& options, WorkArea& area,
                                                   const PassProgress& progress = {});

}  // namespace pare
