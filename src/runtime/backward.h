// The backward pass, one for all models: gradients of a loss at what stages and linears read and write.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "model/roles.h"
#include "runtime/forward.h"

namespace pare {

// What the backward pass of a stage needs of its forward pass, recorded by an observer of it. Values that the
// forward pass changes later are copied, the others are shared.
class StageTape {
 public:
  explicit StageTape(const PackedStage& stage) : stage_(&stage) {}
  // Returns the observer to give to forward_stage(), once; the tape must stay where it is until then.
  Observer observer();

  struct Branch {
    Activation inner;   // queries, keys and values, or gates and ups, as their linears give them
    Activation stream;  // input of o; empty for an MLP
    Activation output;  // output before a norm behind the branch; empty where there is none
  };
  const PackedStage& stage() const { return *stage_; }
  const Activation& input() const { return input_; }
  const Activation& normed() const { return normed_; }
  const Activation& sum() const { return sum_; }
  const std::vector<Branch>& branches() const { return branches_; }

 private:
  void record(Signal signal, const Activation& x);

  const PackedStage* stage_;
  Activation input_;
  Activation normed_;
  Activation sum_;  // empty where no norm stands behind the sum
  std::vector<Branch> branches_;
};

// Packs the transpose of a weight: y = x·W for W (out, in), without a bias.
std::unique_ptr<PackedLinear> pack_transposed(const Weight& weight, ComputeType compute,
                                              const Backend& on = default_backend());

// The linears of a stage turned round: they bring gradients from outputs to inputs, x·W for W (out, in).
struct StageAdjoint {
  struct Branch {
    std::unique_ptr<PackedLinear> first;  // q, k and v, or gate and up
    std::unique_ptr<PackedLinear> last;   // o or down
  };
  std::vector<Branch> branches;
  std::unique_ptr<PackedLinear> skip;  // null: identity
};
StageAdjoint pack_adjoint(const Stage& stage, ComputeType compute,
                          const Backend& backend = default_backend());

// Sees what the gradients of parameters follow from, while a backward pass runs: what a part read, x, and the
// gradient at what it wrote, dy. Activations may change after the call.
class GradientObserver {
 public:
  virtual ~GradientObserver() = default;
  // Linears of a branch, or of the head, that read the same x (tokens, in); dy (tokens, Σ out) holds their
  // gradients side by side.
  virtual void linears(std::span<const Role> roles, const Activation& x, const Activation& dy) = 0;
  // The skip of a stage that has one.
  virtual void skip(const Activation& /*x*/, const Activation& /*dy*/) {}
  // The norm of the stage or of the head; once for each branch where it stands behind branches.
  virtual void norm(const PackedNorm& /*norm*/, const Activation& /*x*/, const Activation& /*dy*/) {}
  // The norm of queries or of keys, over `width` neighbouring values.
  virtual void query_key_norm(Role /*role*/, const PackedNorm& /*norm*/, const Activation& /*x*/,
                              const Activation& /*dy*/, int64_t /*width*/) {}
};

// Returns the gradient at a stage's input, (rows, width_in), from dy (rows, width_out), that at its output.
// `tape` recorded the forward pass of the same rows; the segments are whole sequences, from their first token
// on. dy may be overwritten.
Activation backward_stage(const StageAdjoint& adjoint, const StageTape& tape,
                          std::span<const Segment> segments, const RotaryTable& rope, const Activation& dy,
                          GradientObserver* observer = nullptr);

// The linears of the head turned round.
struct HeadAdjoint {
  std::unique_ptr<PackedLinear> logits;
  std::unique_ptr<PackedLinear> transform;  // null: identity

  HeadAdjoint(const Model& model, ComputeType compute, const Backend& on = default_backend());
};
// Returns the gradient at the last stage's output x (tokens, width) from that at the logits,
// (tokens, vocab).
Activation backward_head(const HeadAdjoint& adjoint, const PackedHead& head, const Activation& x,
                         const Activation& to_logits, GradientObserver* observer = nullptr);

}  // namespace pare
