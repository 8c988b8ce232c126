// The outputs that a linear that writes the residual stream has to give, so that the stream becomes that of
// the model as it was.
#pragma once

#include <memory>
#include <span>

#include "compress/walk/stage_walk.h"

namespace pare {

// Sums Σ y·xᵀ while a stage runs on the calibration tokens. x is the linear's input; y is the wanted product
// of its matrix and x: the target of the streams, less the stream that is carried on, the outputs of other
// branches and the linear's own bias.
class WantedOutput {
 public:
  // Takes `linear` of `stage`, which writes the residual stream and reads `input`. Keeps references.
  WantedOutput(const Stage& stage, const Linear& linear, Signal input, const StageStreams& streams);

  // Weighs the tokens as InputSum::weigh() does.
  void weigh(std::span<const double> weights) { weights_ = weights; }
  // Receives all signals of a sequence, in order.
  void see(Signal signal, const Activation& activation);
  // Adds the sequence to the sum, behind its last signal.
  void end_sequence();
  // Returns the sum (out, in), on every rank; all ranks call it, behind their last sequence.
  Matrix<double> total() && { return std::move(sum_).total(); }

 private:
  const Stage& stage_;
  const Linear& linear_;
  Signal input_;
  const StageStreams& streams_;
  std::unique_ptr<PackedLinear> skip_;
  ChunkSum sum_;
  std::span<const double> weights_;  // empty: all are 1
  int64_t sequence_ = 0;             // index among this rank's sequences
  bool is_own_ = false;              // the current branch is the linear's
  Matrix<float> x_;                  // rows of the sequence, (seqlen, in)
  Matrix<float> y_;                  // (seqlen, out)
};

}  // namespace pare
