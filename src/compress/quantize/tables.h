// Embedding and head rounded to few bits: what they cost is seen at the logits.
#pragma once

#include "compress/progress.h"
#include "compress/quantize/options.h"
#include "compress/report.h"
#include "compress/resume/work_area.h"
#include "compress/walk/calibration_set.h"

namespace pare {

// Rounds the head, and the embedding, which may be the same matrix and stays so. Errors of a head, tied or
// not, are weighted by the Gram matrix of its input, which all of its rows share; those of an embedding alone
// count alike. `weights`: of the tokens; null: all count alike. Walks through the model once. Finished work
// is kept in the area.
void round_tables(Model& model, const CalibrationSet& set, const QuantizeOptions& options,
                  const LossWeights* weights, WorkArea& area, Report& report, const PassProgress& progress);

}  // namespace pare
