// What a linear that writes the residual stream has to give, so that the stream becomes that of the model as
// it was.
#pragma once

#include <memory>

#include "compress/walk/stage_walk.h"

namespace pare {

// Sums Σ y·xᵀ while a stage runs on the calibration tokens. x is what the linear reads; y is what its matrix
// should make of x: the target of the streams, less the stream that is carried on, the outputs of the other
// branches and the linear's own bias.
class WantedOutput {
 public:
  // `linear` of `stage` writes the residual stream and reads `input`. Keeps references.
  WantedOutput(const Stage& stage, const Linear& linear, Signal input, const StageStreams& streams);

  // Sees all signals of a sequence, in order.
  void see(Signal signal, const Activation& x);
  // Adds the sequence to the sum, behind its last signal.
  void end_sequence();
  // The sum (out, in), on every rank; all ranks call it, behind their last sequence.
  Matrix<double> total() && { return std::move(sum_).total(); }

 private:
  const Stage& stage_;
  const Linear& linear_;
  Signal input_;
  const StageStreams& streams_;
  std::unique_ptr<PackedLinear> skip_;
  ChunkSum sum_;
  int64_t sequence_ = 0;  // of this rank
  bool is_own_ = false;   // whether the branch at hand is the linear's
  Matrix<float> x_;       // of the sequence, (seqlen, in)
  Matrix<float> y_;       // (seqlen, out)
};

}  // namespace pare
