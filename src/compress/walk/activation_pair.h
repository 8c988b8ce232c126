// The residual streams of a walk: read from one buffer, written to the other.
#pragma once

#include <chrono>
#include <string>

#include "compress/resume/work_area.h"
#include "model/config.h"

namespace pare {

// Returns the columns of the widest residual stream of a model.
int64_t widest_stream(const ModelConfig& config);

// Two buffers, so that the input of a stage survives until the next stage has finished: an interrupted
// stage can be run again. Every rank has rows of its own.
class ActivationPair {
 public:
  // Makes room for `rows` rows of the widest residual stream of the model.
  ActivationPair(const WorkArea& area, const std::string& name, const ModelConfig& config, int64_t rows);

  void begin_stage();
  int64_t width() const { return width_; }
  int64_t rows() const { return rows_; }
  // Returns rows of the stream, (count, width).
  MatrixView<const float> read(int64_t first, int64_t count) const;
  MatrixView<float> change(int64_t first, int64_t count);
  // Writes rows of the stream that advance() will make current.
  void write(int64_t first, const Matrix<float>& rows);
  void release(MatrixView<const float> rows) const { buffers_[current_].release(rows); }
  // The rows written become the stream; `rows` of it are in use.
  void advance(int64_t width, int64_t rows);

  // Returns where the stream of every rank is, to be recorded with what was finished there. A stage that took
  // seconds is made durable against the death of the system too, not only of the process. All ranks call it.
  Json position() const;
  // Goes back to a position; returns false on every rank if the stream of one was lost. All ranks call it.
  bool restore(const Json& position);

 private:
  bool restore_own(const Json& position);

  Comm& comm_;
  ActivationFile buffers_[2];
  int current_ = 0;
  int64_t width_ = 0;
  int64_t rows_ = 0;
  std::chrono::steady_clock::time_point started_;  // start of the current stage
};

}  // namespace pare
