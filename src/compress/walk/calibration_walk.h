// The walk of calibration: activations of all sequences, moved through the model stage by stage.
#pragma once

#include <functional>
#include <vector>

#include "compress/walk/activation_pair.h"
#include "compress/walk/calibration_set.h"
#include "compress/walk/sample_split.h"
#include "runtime/forward.h"

namespace pare {

// Returns the type that calibration computes products with: bf16 where that takes less time than f32. Its
// rounding is far below what a stream of thousands of tokens leaves undetermined.
ComputeType calibration_compute();

// Callbacks that see a stage run on the calibration tokens. Signals come sequence by sequence, for the
// sequences of this rank, in order.
struct StageWatch {
  Observer observer;
  std::function<void(MatrixView<float>)> prepare;       // changes a copy of the stage's input before it runs
  std::function<void(MatrixView<const float>)> output;  // sees the stage's output
};

// Holds the residual stream of this rank's calibration tokens at one point of the model and runs stages on
// it: memory is one stage of packed weights plus one sequence, and the activations as far as the work area
// keeps them in memory. A stage reads one buffer and writes another, so that what a stage began with survives
// until the next one has finished.
class CalibrationWalk {
 public:
  // Keeps references to the set and the area; `name` tells its files from those of other walks.
  CalibrationWalk(const CalibrationSet& set, const ModelConfig& config, WorkArea& area,
                  const std::string& name, ComputeType compute = calibration_compute());
  CalibrationWalk(CalibrationSet&&, const ModelConfig&, WorkArea&, const std::string&,
                  ComputeType = kF32) = delete;

  // Starts at the embedding, which `prepare` may change.
  void start(const Model& model, const std::function<void(MatrixView<float>)>& prepare = {});
  // Returns the point where the walk is, to be recorded with what was finished there; restore() goes back to
  // it and returns false when the activations of that point did not survive.
  Json position() const { return streams_.position(); }
  bool restore(const Json& position) { return streams_.restore(position); }

  // Returns the residual stream of one sequence of this rank, (seqlen, width).
  MatrixView<const float> stream(int64_t sequence) const;
  // Returns the stream of the first tokens of the very first sequence, on every rank; all ranks call it.
  Matrix<float> first_tokens(int64_t count) const;

  // Runs a stage on the stream and replaces it by the stage's output. Throws kNumeric naming `label` when the
  // output holds a NaN or an infinity.
  void run(const Stage& stage, const std::string& label, const StageWatch& watch = {});
  // Runs a stage as run() does, but keeps the stream.
  void peek(const Stage& stage, const std::string& label, const StageWatch& watch);
  // Adds inputs·changeᵀ to the stream, sequence by sequence, as if `change` had been added to the linear that
  // read `inputs`, all tokens' rows of change.cols, before the stage ran.
  void correct(const std::string& label, const Weight& change, const ActivationFile& inputs);

  int64_t seqlen() const { return seqlen_; }
  // Sequences and tokens of this rank.
  int64_t sequences() const { return split_.count(); }
  int64_t tokens() const { return seqlen_ * split_.count(); }
  // Tokens of all ranks.
  int64_t all_tokens() const { return seqlen_ * split_.total(); }
  const SampleSplit& split() const { return split_; }

 private:
  static constexpr ComputeType kF32 = ComputeType::kF32;
  void run(const Stage& stage, const std::string& label, const StageWatch& watch, bool store);

  const CalibrationSet& set_;
  SampleSplit split_;
  RotaryTable rope_;  // angles of one sequence
  ComputeType compute_;
  int64_t seqlen_ = 0;
  ActivationPair streams_;
};

// Returns the tokens of the set that a walk in this area carries: those of this rank.
int64_t own_tokens(const CalibrationSet& set, const WorkArea& area);

// Runs one stage on one sequence from its beginning, x (tokens, width_in).
Matrix<float> run_stage(const Stage& stage, MatrixView<const float> x, const ModelConfig& config,
                        ComputeType compute);

}  // namespace pare
