// The residual streams of a walk: read from one buffer, written to the other.
#pragma once

#include <chrono>
#include <string>

#include "compress/resume/work_area.h"
#include "model/config.h"

namespace pare {

// What a stage began with survives in one buffer until the next stage has finished, so that an interrupted
// stage can be run again. Every rank has rows of its own.
class StreamPair {
 public:
  // Room for `rows` rows of the widest residual stream of the model.
  StreamPair(const WorkArea& area, const std::string& name, const ModelConfig& config, int64_t rows);

  void begin_stage();
  int64_t width() const { return width_; }
  int64_t rows() const { return rows_; }
  // Rows of the stream, (count, width).
  MatrixView<const float> read(int64_t first, int64_t count) const;
  MatrixView<float> change(int64_t first, int64_t count);
  // Rows of what will be the stream after advance().
  void write(int64_t first, const Matrix<float>& rows);
  void release(MatrixView<const float> rows) const { buffers_[current_].release(rows); }
  // The rows written become the stream; `rows` of it are in use.
  void advance(int64_t width, int64_t rows);

  // Where the stream of every rank is, to be recorded with what was finished there. A stage that took seconds
  // is made durable against the death of the system too, not only of the process. All ranks call it.
  Json position() const;
  // Goes back there; false on every rank when the stream of one did not survive. Likewise.
  bool restore(const Json& position);

 private:
  bool restore_own(const Json& position);

  Comm& comm_;
  StreamBuffer buffers_[2];
  int current_ = 0;
  int64_t width_ = 0;
  int64_t rows_ = 0;
  std::chrono::steady_clock::time_point started_;  // of the current stage
};

}  // namespace pare
