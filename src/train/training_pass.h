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

inline constexpr int64_t kLossRows = 512;  // tokens whose logits are held at once

// Sequences of one length, each from its beginning.
struct SequenceBatch {
  std::vector<int32_t> tokens;  // (sequences · length)
  int64_t length = 0;

  int64_t rows() const { return static_cast<int64_t>(tokens.size()); }
  int64_t sequences() const { return rows() / length; }
};

struct TrainingLimits {
  int64_t group_rows = 1024;              // tokens that run at once, at least one sequence
  int64_t tape_bytes = int64_t{1} << 30;  // tapes of stages, kept for the way back
};

// Tokens of the whole sequences of this length that run at once.
int64_t rows_of_group(int64_t length, const TrainingLimits& limits = {});
// Bytes of activations that wait for the way back.
struct HeldBytes {
  int64_t inputs = 0;  // inputs of stages
  int64_t tapes = 0;   // what happens inside them
};
HeldBytes held_bytes(const Model& model, int64_t length, const TrainingLimits& limits = {});

// Runs a model whose values change from step to step. A gradient takes the sequences in groups, with the
// weights of all stages packed in both directions. What happens inside the last stages is kept for the way
// back, as far as the limit lets it; the others are run once more, from their inputs.
class TrainingPass {
 public:
  // Keeps a reference to the model.
  TrainingPass(const Model& model, ComputeType compute, const Backend& on = default_backend(),
               const TrainingLimits& limits = {})
      : model_(model), compute_(compute), on_(on), limits_(limits) {}

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
  TrainingLimits limits_;
};

}  // namespace pare
