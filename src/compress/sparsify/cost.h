// What making a model sparse will take, before hours are spent.
#pragma once

#include "compress/pass.h"
#include "compress/sparsify/options.h"

namespace pare {

// Estimated from the shapes alone. `dtype`: of the written matrices.
Needs sparsify_needs(const Model& model, const SparsifyOptions& options, const CalibrationPlan& plan,
                     Encoding dtype);

// Seconds, from the time that the first layer takes here on one calibration sequence, and its algebra.
double sparsify_seconds(const Model& model, const SparsifyOptions& options, const CalibrationPlan& plan);

}  // namespace pare
