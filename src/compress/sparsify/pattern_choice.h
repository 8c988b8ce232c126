// Choice of the stages that stay denser or become sparser, under one budget of bytes.
#pragma once

#include <span>
#include <vector>

#include "compress/progress.h"
#include "compress/resume/work_area.h"
#include "compress/sparsify/options.h"
#include "compress/walk/calibration_set.h"

namespace pare {

// Bytes of a value, for all that is stored: the budget is a share, so the type hardly matters.
inline constexpr int64_t kBudgetValueBytes = 2;

// Returns a pattern for every stage, in the model's order. Makes every stage sparse alone, measures how far
// the predictions move from the dense model's (StageLosses) and buys bytes where they cost least. Without a
// budget: the pattern of the options everywhere. `residual_order`: of all but the stages (permute.h), which
// get it as they are measured. Throws kInvalid when even the sparsest patterns take more.
std::vector<Pattern> choose_patterns(const Model& model, const CalibrationSet& set,
                                     const SparsifyOptions& options, std::span<const int64_t> residual_order,
                                     WorkArea& area, const PassProgress& progress = {});

}  // namespace pare
