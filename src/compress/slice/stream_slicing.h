// Slicing the hidden and value streams of a model under one budget of real parameters.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "compress/slice/sensitivity.h"
#include "compress/walk/stage_walk.h"

namespace pare {

struct StreamSlicingOptions {
  int64_t target_parameters = 0;  // real parameters of the whole model
  SensitivityOptions sensitivity;
};

// Returns the width of every stream, in the order of streams_of.
std::vector<int64_t> plan_stream_widths(const Model& model, const std::vector<StreamSensitivity>& sensitivity,
                                        const StreamSlicingOptions& options);

// Cuts the streams to the planned widths, stage by stage: a stage's Gram matrix is of signals that come from
// the stages already cut. Stages that are cut have f32 weights.
std::unique_ptr<StageEditor> stream_cutter(const Model& model, const CalibrationSet& set,
                                           const std::vector<int64_t>& widths, double ridge, WorkArea& area);

}  // namespace pare
