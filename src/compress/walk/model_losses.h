// Measures how whole models differ in their predictions from the one that they were made of.
#pragma once

#include <span>
#include <vector>

#include "compress/walk/calibration_set.h"
#include "model/model.h"

namespace pare {

// Returns mean KL(model || other) in nats a token of every other, on all tokens of the set. The models go
// through their stages side by side, each packed while it runs (bf16), and share what they have in common
// with `model` before their first stage of their own: memory is one stage and the streams.
std::vector<double> model_losses(const Model& model, std::span<const Model> others,
                                 const CalibrationSet& set);
// Returns the bytes of the streams, and of the logits that exist at once.
int64_t model_losses_bytes(const Model& model, int64_t others, int64_t tokens);

}  // namespace pare
