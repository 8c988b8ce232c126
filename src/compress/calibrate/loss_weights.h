// Weights of calibration tokens by what the loss says of them: the energy of its gradient at the outputs of
// linears.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "compress/progress.h"
#include "compress/walk/calibration_walk.h"
#include "model/roles.h"

namespace pare {

// For tokens t of this rank and linears with gradients g_t at their outputs: ‖g_t‖². With inputs x_t,
// Σ ‖g_t‖²·x_t·x_tᵀ says what an error of the linear's weights costs in the loss, to second order
// (GuidedQuant, arXiv 2505.07004, with one group; YAQA, arXiv 2505.22988). The loss is that of
// GradientWalk.
class LossWeights {
 public:
  // Runs the model and its gradient on the calibration tokens, a group of sequences at a time; a group that
  // an interrupted run has finished is not run again. All ranks call it. Throws kNumeric where a gradient
  // holds a NaN or an infinity.
  LossWeights(const Model& model, const CalibrationSet& set, WorkArea& area,
              const PassProgress& progress = {});

  // Returns the weights of this rank's tokens for linears of a stage that read the same signal. Each linear
  // counts alike. The weights are half energies and half 1, so that no token is forgotten; their mean over
  // the tokens of all ranks is 1. All ranks call it. Linears whose gradients are all 0 give weights of 1.
  std::vector<double> of(size_t stage, std::span<const Role> roles) const;
  // Returns the same for the head.
  std::vector<double> of_head() const;

 private:
  class Recorder;
  using Place = std::pair<size_t, Role>;

  std::vector<double> normalised(std::span<const Place> places) const;

  SampleSplit split_;
  int64_t seqlen_;
  size_t stages_;
  std::map<Place, int64_t> rows_;  // row of each linear in `energies_`
  ActivationFile energies_;        // (linears, tokens)
};

// Returns the bytes that making LossWeights takes beside the model, at most.
int64_t loss_weights_bytes(const Model& model, int64_t seqlen);

}  // namespace pare
