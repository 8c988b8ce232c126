// Several passes, one after the other.
#pragma once

#include "compress/pass.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

// Returns the options of all passes. If there are several, each has its place and name as key ("2-sparsify").
Json options_of(const Passes& passes);

// Returns the model that writes the run's own text.
const Model& writer_of(const Model& model, const Passes& passes);

// Returns the needs of the whole run: the most that a pass, or writing the calibration text, takes.
Needs needs_of(const Model& model, const Passes& passes, const CalibrationPlan& plan, Encoding dtype);
// Returns the seconds of the whole run; a few tokens are written where the model writes its own text.
double seconds_of(const Model& model, const Tokenizer* tokenizer, const Passes& passes,
                  const CalibrationPlan& plan);

// Runs the passes in order, each on the result of the one before: stage by stage in one walk where they can,
// else one after the other. The report's recipe is that of the only pass, or {"passes": […]}; its sizes are
// those of the whole. `training`: sequences to train on, which begin with those of `set`; null: these.
// `written_bytes`: none counts only the tensors.
Model run_passes(const Model& model, const CalibrationSet& set, const Passes& passes, WorkArea& area,
                 Report& report, const PassProgress& progress = {}, const CalibrationSet* training = nullptr,
                 const WrittenBytes& written_bytes = {});

}  // namespace pare
