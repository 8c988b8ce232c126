// Run-time checks that an exact transformation left the model's function alone.
#pragma once

#include <string>

#include "compress/report.h"
#include "compress/walk/calibration_set.h"
#include "model/model.h"
#include "runtime/streamed_logits.h"

namespace pare {

// Returns logits (tokens, vocab) in f32 of the first tokens of the calibration set, with at most one stage
// packed at a time. `edit`, `stage_edit`: replacements of matrices or stages.
Matrix<float> probe_logits(const Model& model, const CalibrationSet& set, const WeightEdit& edit = {},
                           const StageEdit& stage_edit = {});

// Largest relative difference that an exact transformation in f32 may leave: rounding of the weights to f32
// and other orders of summation, through all layers.
inline constexpr double kExactTolerance = 2e-3;

// Records the check; throws kNumeric naming `name` when the difference exceeds the tolerance.
void require_exact(const std::string& name, MatrixView<const float> expected, MatrixView<const float> got,
                   Report& report, double tolerance = kExactTolerance);

}  // namespace pare
