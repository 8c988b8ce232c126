// The walk of calibration: activations of all sequences, moved through the model stage by stage.
#pragma once

#include <functional>
#include <vector>

#include "compress/calibration_set.h"
#include "model/forward.h"

namespace pare {

// Holds the residual stream of every calibration token at one point of the model and runs stages on it:
// memory is one stage of packed weights plus the activations, whatever the size of the model.
class CalibrationWalk {
 public:
  // Keeps a reference to the set.
  CalibrationWalk(const CalibrationSet& set, const ModelConfig& config);
  CalibrationWalk(CalibrationSet&&, const ModelConfig&) = delete;

  // Starts at the embedding.
  void start(const Weight& embedding);

  // The residual stream, (tokens, width), sequences one after another.
  const Matrix<float>& stream() const { return stream_; }
  void replace_stream(Matrix<float> stream);

  // Runs a stage on the stream and replaces it by the stage's output. The observer sees the signals in pieces
  // of whole sequences, in order. Throws kNumeric naming `label` when the output holds a NaN or an infinity.
  void run(const Stage& stage, const std::string& label, const Observer& observer = {});
  // The same, but the output is returned and the stream stays.
  Matrix<float> peek(const Stage& stage, const std::string& label, const Observer& observer = {}) const;

  int64_t seqlen() const { return seqlen_; }
  int64_t sequences() const { return sequences_; }
  int64_t tokens() const { return seqlen_ * sequences_; }

 private:
  const CalibrationSet& set_;
  RopeTable rope_;  // of one sequence
  int64_t seqlen_ = 0;
  int64_t sequences_ = 0;
  Matrix<float> stream_;
};

}  // namespace pare
