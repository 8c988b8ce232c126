// Checks a written file: whether it is what it should be, and what its type cost.
#pragma once

#include <filesystem>

#include "runtime/streamed_logits.h"

namespace pare {

// Edit for streamed_logits of a model: its matrices rounded to the types in which `saved` has them.
WeightEdit rounded_like(const Model& saved);

struct SavedCheck {
  ModelSize size;           // size of the written model
  double rounding = 0.0;    // largest ‖W − W'‖/‖W‖ of a matrix W that was written in another type
  double difference = 0.0;  // max |logits − logits'| / max |logits| from the model, on pseudo-random tokens
  double allowed = 0.0;     // difference that the rounding of all matrices explains
};

// Loads what was written and computes logits with it, a stage at a time. They must be those of `model` with
// every matrix rounded to the type it was written in; and within `allowed` of the model's own: roundings of n
// matrices by ‖W − W'‖/‖W‖ add up in quadrature, and there is room for four times as much. Throws kNumeric
// when they are not, or when a weight is not finite, and what load_model throws.
SavedCheck verify_saved(const Model& model, const std::filesystem::path& written);

}  // namespace pare
