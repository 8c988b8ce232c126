// Recovery: a compressed model trained to predict what another predicts, in the shape that it has.
#pragma once

#include "compress/pass.h"
#include "compress/recover/options.h"

namespace pare {

// Trains all values of the model that may differ from zero, end to end, on the training sequences of the
// context: on KL from `teacher`. The average of the weights with the least loss on held-back sequences
// is kept, or the model as it was where none is better. Shapes, ties and N:M patterns stay. Adds the measured
// losses to the report; training that fails by numbers ends there, with a fallback in it.
void recover(Model& model, const Model& teacher, const RecoverOptions& options, const PassContext& context);

// Returns the bytes of memory, and of disk space, that it takes.
Needs recover_needs(const Model& model, const RecoverOptions& options, const CalibrationPlan& plan,
                    Encoding dtype);
// Returns seconds, from the time that a sequence takes here and now.
double recover_seconds(const Model& model, const RecoverOptions& options, const CalibrationPlan& plan);

}  // namespace pare
