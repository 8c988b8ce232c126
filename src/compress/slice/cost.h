// Estimates of what slicing a model takes.
#pragma once

#include <cstdint>

#include "compress/pass.h"
#include "compress/slice/slice.h"

namespace pare {

// Returns an estimate from the shapes alone. `dtype`: type of the written matrices.
Needs slice_needs(const Model& model, const SliceOptions& options, const CalibrationPlan& plan,
                  Encoding dtype);

// Returns seconds, from the time that one layer's work takes here: the first layer on one calibration
// sequence, and its algebra.
double slice_seconds(const Model& model, const SliceOptions& options, const CalibrationPlan& plan);

}  // namespace pare
