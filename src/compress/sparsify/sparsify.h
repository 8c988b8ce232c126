// pare sparsify: N:M sparse linears in the blocks of a model.
#pragma once

#include <memory>

#include "compress/progress.h"
#include "compress/report.h"
#include "compress/resume/work_area.h"
#include "compress/sparsify/options.h"
#include "compress/walk/calibration_set.h"
#include "compress/walk/stage_walk.h"
#include "model/model.h"

namespace pare {

// Returns an editor that makes the stages of the model sparse. Orders the model's channels, chooses patterns
// where the options want it; sets report's recipe. Steps that the area holds of an earlier run with the same
// model, set and options are not repeated.
std::unique_ptr<StageEditor> sparsify(Model& model, const CalibrationSet& set, const SparsifyOptions& options,
                                      WorkArea& area, Report& report, const PassProgress& progress = {});

}  // namespace pare
