// One order of the residual stream's channels for the whole model.
#pragma once

#include <cstdint>
#include <vector>

#include "compress/progress.h"
#include "compress/report.h"
#include "compress/resume/work_area.h"
#include "compress/sparsify/options.h"
#include "compress/walk/calibration_set.h"

namespace pare {

// Measures the scores of the stream's channels for all readers in the dense model, finds an order that suits
// them together and permutes all but the stages by it (permute.h). Returns the order, which the area records;
// empty where M does not divide the width and nothing was done.
std::vector<int64_t> shuffle_residual_stream(Model& model, const CalibrationSet& set,
                                             const SparsifyOptions& options, WorkArea& area, Report& report,
                                             const PassProgress& progress);

}  // namespace pare
