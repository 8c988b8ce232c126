// A model run forward and back over calibration sequences, for a loss that it would expect of itself.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "compress/walk/calibration_set.h"
#include "runtime/backward.h"

namespace pare {

// Sees what a GradientWalk computes. Sequences are counted from the walk's first one. Activations may change
// after a call.
class GradientVisitor {
 public:
  virtual ~GradientVisitor() = default;
  // Sees the signals of a stage on the way forward; behind the last stage (number `stages`) only
  // Signal::kNormed, the input of the head.
  virtual void signal(size_t /*stage*/, Signal /*signal*/, const Activation& /*x*/) {}
  // Sees the input x of the head, (tokens, in), and the predictions, (tokens, vocab), of tokens of a
  // sequence.
  virtual void predictions(const Activation& /*x*/, MatrixView<const float> /*probabilities*/) {}
  // Sees the gradient at the logits of tokens of a sequence from `token` on, (tokens, vocab).
  virtual void logits(int64_t /*sequence*/, int64_t /*token*/, MatrixView<const float> /*gradient*/) {}
  // Comes before the calls for a stage on the way back.
  virtual void begin_stage(size_t /*stage*/) {}
  // Sees linears of a stage, as GradientObserver does.
  virtual void linears(size_t stage, int64_t sequence, std::span<const Role> roles, const Activation& x,
                       const Activation& dy) = 0;
  // Sees the gradient at the residual stream that enters the first stage, (tokens, width).
  virtual void stream(int64_t /*sequence*/, const Activation& /*dy*/) {}
};

// The loss is −ln of the probability of tokens that are drawn from the model's own predictions, so that the
// mean of its gradients' products is the curvature of the KL divergence from the model. A sequence has draws
// of its own, of the set's seed and its place in the set.
class GradientWalk {
 public:
  // Walks sequences [first, first + count) of the set. Keeps references to model and set.
  GradientWalk(const Model& model, const CalibrationSet& set, int64_t first, int64_t count);
  // Runs all stages forward, and back. `stage_done` is called 2 · stages times. Throws kNumeric where a
  // gradient holds a NaN or an infinity.
  void run(
      GradientVisitor& visitor, const std::function<void()>& stage_done = [] {});

 private:
  class Linears;

  const std::vector<int32_t>& tokens(int64_t i) const {
    return set_.sequences[static_cast<size_t>(first_ + i)];
  }
  Segment whole(const KvStores& kv) const {
    return {0, set_.seqlen(), 0, kv.empty() ? nullptr : kv.front().get()};
  }
  PackedStage packed(size_t s) const;
  void begin();
  void forward(size_t s, GradientVisitor& visitor);
  void turn(GradientVisitor& visitor);
  void turn(const PackedHead& head, const HeadAdjoint& adjoint, int64_t i, GradientVisitor& visitor);
  void backward(size_t s, GradientVisitor& visitor);

  const Model& model_;
  const CalibrationSet& set_;
  int64_t first_;
  int64_t count_;
  size_t stages_;
  RotaryTable rope_;
  const Backend& on_;
  std::vector<std::vector<Activation>> inputs_;  // inputs of each stage, for each sequence
  std::vector<Activation> gradients_;            // gradients at the input of the stage behind
};

// Bytes of the inputs of all stages that a walk holds for a token.
int64_t held_bytes_of_token(const Model& model);
// Bytes that a walk takes beside them, at most.
int64_t gradient_walk_bytes(const Model& model, int64_t seqlen);

}  // namespace pare
