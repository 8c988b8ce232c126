// What cutting one stage does to the model's predictions: the rest of the model runs dense behind it.
#pragma once

#include <memory>
#include <vector>

#include "compress/calibration_set.h"
#include "model/forward.h"

namespace pare {

// Walks the dense model stage by stage on a few held-out tokens. Products in bf16: the differences it
// measures are far above their rounding.
class TailProbe {
 public:
  // `sequences`: of one length. Keeps the dense model packed and one row of log-probabilities per probed
  // position.
  TailProbe(const Model& model, const std::vector<std::vector<int32_t>>& sequences);

  // Mean KL(dense || changed) in nats per token when the current stage is replaced by `changed` and all later
  // ones stay dense.
  double kl_with(const Stage& changed);
  // Moves on to the next stage, running the current one as it is in the dense model.
  void advance();

 private:
  std::vector<Segment> segments(size_t stage);
  Matrix<float> hidden_after(Matrix<float> stream, size_t first_stage);

  PackedModel packed_;
  RopeTable rope_;
  std::vector<std::unique_ptr<KvCache>> caches_;
  int64_t seqlen_ = 0;
  size_t stage_ = 0;
  Matrix<float> stream_;        // dense input of the current stage, (tokens, width)
  Matrix<float> dense_hidden_;  // rows the head reads, at the probed positions
};

}  // namespace pare
