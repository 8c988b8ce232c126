// Estimates of what making a model sparse takes.
#pragma once

#include "compress/pass.h"
#include "compress/sparsify/options.h"

namespace pare {

// Returns an estimate from the shapes alone. `dtype`: type of the written matrices.
Needs sparsify_needs(const Model& model, const SparsifyOptions& options, const CalibrationPlan& plan,
                     Encoding dtype);

// Returns seconds, from the time that the first layer takes here on one calibration sequence, and of algebra.
double sparsify_seconds(const Model& model, const SparsifyOptions& options, const CalibrationPlan& plan);

}  // namespace pare
