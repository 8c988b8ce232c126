// Rounding a model's weights to few bits.
#pragma once

#include <memory>

#include "compress/progress.h"
#include "compress/quantize/options.h"
#include "compress/report.h"
#include "compress/resume/work_area.h"
#include "compress/walk/stage_walk.h"

namespace pare {

// Rounds embedding and head at once, and returns the editor that rounds the linears. Sets report's recipe.
// Throws as validate and require_applicable do.
std::unique_ptr<StageEditor> quantize(Model& model, const CalibrationSet& set, const QuantizeOptions& options,
                                      WorkArea& area, Report& report, const PassProgress& progress = {});

}  // namespace pare
