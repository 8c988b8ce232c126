// Measures how changes of single stages move the model's predictions: the rest of the model runs dense.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compress/walk/activation_pair.h"
#include "compress/walk/calibration_set.h"
#include "runtime/forward.h"

namespace pare {

inline constexpr int64_t kProbeStride = 2;        // every second position is probed
inline constexpr int64_t kProbeRowsAtOnce = 128;  // positions whose logits exist at once

// Walks the residual streams of a few held-out tokens through the dense model, stage by stage: a stream of
// the dense model, and one for every variant of a stage that was tried on the way. Every stage is packed once
// for all of them, so memory is one stage and the streams. Products are of bf16: the differences measured are
// far above their rounding. The variants are spread over the ranks, each of which holds its own behind a
// stream of the dense model.
class StageLosses {
 public:
  // `set` has sequences of one length; `max_variants` bounds the number of variants.
  StageLosses(const Model& model, const CalibrationSet& set, int64_t max_variants, WorkArea& area,
              const std::string& name);

  void start();
  // Return and restore the position as a CalibrationWalk does.
  Json position() const;
  bool restore(const Json& position);

  // Moves on behind `stage`. `variants`: other forms of the stage, each tried alone.
  void advance(const Stage& stage, std::span<const Stage> variants);
  // Returns, behind the last stage, mean KL(dense || variant) in nats per token of every variant, in order.
  // All ranks call it.
  std::vector<double> losses() const;

  int64_t variants() const { return variants_; }  // variants of all ranks

 private:
  // Number of streams held; the first is that of the dense model.
  int64_t copies() const { return streams_.rows() / set_.tokens(); }
  std::vector<double> own_losses() const;
  MatrixView<const float> stream(int64_t copy) const {
    return streams_.read(copy * set_.tokens(), set_.tokens());
  }
  Matrix<float> run(const PackedStage& stage, MatrixView<const float> x) const;
  Matrix<float> probed_rows(int64_t copy, int64_t first, int64_t count) const;

  const Model& model_;
  const CalibrationSet& set_;
  Comm& comm_;
  RotaryTable rope_;
  ActivationPair streams_;
  int64_t variants_ = 0;
};

}  // namespace pare
