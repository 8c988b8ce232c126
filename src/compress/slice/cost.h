// What slicing a model will take, before hours are spent.
#pragma once

#include <cstdint>

#include "compress/pass.h"
#include "compress/slice/slice.h"

namespace pare {

// Estimated from the shapes alone. `dtype`: of the written matrices.
Needs slice_needs(const Model& model, const SliceOptions& options, const CalibrationPlan& plan,
                  Encoding dtype);

// Seconds, from the time that one layer's work takes here: the first layer on one calibration sequence, and
// its algebra.
double slice_seconds(const Model& model, const SliceOptions& options, const CalibrationPlan& plan);

}  // namespace pare
