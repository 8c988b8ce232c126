// Several passes, one after the other.
#pragma once

#include "compress/pass.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

// The options of all passes; those of a pass that is not alone are under its place and name ("2-sparsify").
Json options_of(const Passes& passes);

// What the whole run needs: the most that a pass, or writing the calibration text, takes.
Needs needs_of(const Model& model, const Passes& passes, const CalibrationPlan& plan, Encoding dtype);
// How long the whole run takes; a few tokens are written where the model writes its own text.
double seconds_of(const Model& model, const Tokenizer* tokenizer, const Passes& passes,
                  const CalibrationPlan& plan);

// Runs the passes in order, each on what the one before it made: stage by stage in one walk where they can,
// else one after the other. The report's recipe is that of the only pass, or {"passes": […]}; its sizes are
// those of the whole.
Model run_passes(const Model& model, const CalibrationSet& set, const Passes& passes, WorkArea& area,
                 Report& report, const PassProgress& progress = {});

}  // namespace pare
