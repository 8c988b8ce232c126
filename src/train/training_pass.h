// The forward and the backward pass of a whole model over sequences, for a loss at the logits.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "runtime/backward.h"
#include "train/parameters.h"

namespace pare {

// Returns the loss of row `row`, token row % length of sequence row / length, and replaces its logits by the
// loss's gradient at them. Is called from several threads.
using TokenLoss = std::function<double(int64_t row, std::span<float> logits)>;

inline constexpr int64_t kLossRows = 512;  // rows whose logits are held at once

// Sequences of one length, each from its beginning.
struct SequenceBatch {
  std::vector<int32_t> tokens;  // (sequences · length)
  int64_t length = 0;

  int64_t rows() const { return static_cast<int64_t>(tokens.size()); }
  int64_t sequences() const { return rows() / length; }
};

// Runs a model whose values change from step to step: weights are packed when they are needed. The inputs of
// all stages are held, (stages + 1) · rows · width floats; what happens inside a stage is computed once more
// on the way back.
class TrainingPass {
 public:
  // Keeps a reference to the model.
  TrainingPass(const Model& model, ComputeType compute, const Backend& on = default_backend())
      : model_(model), compute_(compute), on_(on) {}

  // Returns the sum of the losses of all rows. Throws kNumeric when a stage or a loss is a NaN
  // or an infinity.
  double loss(const SequenceBatch& batch, const TokenLoss& loss) const;
  // Returns the sum of the losses, and adds its gradient at the model's tensors to `gradient`, an array of
  // `layout`. Throws as loss().
  double gradient(const SequenceBatch& batch, const TokenLoss& loss, const Parameters& layout,
                  std::span<float> gradient) const;

 private:
  const Model& model_;
  ComputeType compute_;
  const Backend& on_;
};

}  // namespace pare
