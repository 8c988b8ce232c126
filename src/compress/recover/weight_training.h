// Weights that are being trained: their steps, and what a checkpoint keeps of them.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "compress/recover/options.h"
#include "train/optimizer.h"
#include "train/parameters.h"

namespace pare {

// The values of all tensors of a model, with the optimiser's state and the average of the steps. Values that
// an N:M pattern leaves out stay zero.
class WeightTraining {
 public:
  // Keeps a reference to the options. `origin`: a model that codes may be read with (Parameters::read).
  WeightTraining(const Model& model, const Model& origin, const RecoverOptions& options);
  ~WeightTraining();
  WeightTraining(const WeightTraining&) = delete;
  WeightTraining& operator=(const WeightTraining&) = delete;

  const Parameters& layout() const { return layout_; }
  // Returns the model with the values of the last step, and with the average of the steps.
  const Model& model() const { return model_; }
  const Model& averaged();
  std::span<const float> average() const { return average_; }

  // Begins a step: returns the gradient, zero, to be added to.
  std::span<float> begin_step();
  // Makes step `step` of `steps`, counted from 1, with what was added to the gradient. Throws kNumeric when
  // that is not finite.
  void end_step(int64_t step, int64_t steps);

  // A checkpoint keeps arrays of layout().size() floats, and a small one.
  static constexpr int64_t kKeptArrays = 3;
  std::vector<std::span<float>> kept() { return {values_, mean_, average_, optimizer_.squares()}; }
  // Arrays of that size in memory.
  static constexpr int64_t kArrays = 4;

 private:
  struct Mask;

  std::vector<SteppedTensor> stepped_tensors() const;

  const RecoverOptions& options_;
  Parameters layout_;
  std::vector<float> values_;
  std::vector<float> gradient_;
  std::vector<float> mean_;  // mean of gradients
  std::vector<float> average_;
  Optimizer optimizer_;
  std::vector<Mask> masks_;
  Model model_;
  Model averaged_;
};

// Returns whether the zeros of a weight stay: it is stored in an N:M pattern, or follows one.
bool keeps_zeros(const Weight& weight);

// Returns the model `before` with what an array of its layout holds, in weights of their own and the formats
// that they had: codes and N:M patterns as they were, others in f32. `each`, if given, replaces every weight
// as soon as it is made, so that they need not be in memory together.
Model trained_model(const Model& before, const Parameters& layout, std::span<const float> values,
                    const std::function<Weight(Weight)>& each = {});

// The order in which sequences are trained on: every epoch in another one.
class SequenceOrder {
 public:
  SequenceOrder(std::vector<int64_t> sequences, uint64_t seed)
      : sequences_(std::move(sequences)), seed_(seed) {}

  // Returns the `batch` sequences of a step, counted from 1.
  std::vector<int64_t> of_step(int64_t step, int64_t batch);

 private:
  const std::vector<size_t>& shuffled(int64_t epoch);

  std::vector<int64_t> sequences_;
  uint64_t seed_;
  int64_t epoch_ = -1;
  std::vector<size_t> order_;
};

// Sequences to train on, and others that are held back: `wanted`, or a quarter where there are few, evenly
// spread.
struct TrainingSplit {
  std::vector<int64_t> trained;
  std::vector<int64_t> held_back;

  // `count`: sequences that there are, two or more.
  TrainingSplit(int64_t count, int64_t wanted);
};

}  // namespace pare
