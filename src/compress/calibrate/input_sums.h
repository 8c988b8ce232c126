// Sums that calibration collects of a signal that linears read: its Gram matrix, and its rows.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "compress/resume/work_area.h"
#include "compress/walk/sample_split.h"
#include "runtime/forward.h"

namespace pare {

// Rows of one signal, kept for all calibration tokens of this rank, so that they can be seen again.
class KeptRows {
 public:
  // Makes room for `values` values in the area, in the files of that name.
  KeptRows(const WorkArea& area, const std::string& name, int64_t values)
      : buffer_(area.stream(name, values)) {}

  // Forgets all rows. The next ones have `width` columns.
  void begin(int64_t width);
  // Adds x (rows, width) behind the rows that are there.
  void add(MatrixView<const float> x);
  // Returns all rows, (rows, width). release() says that they are not needed for a while.
  MatrixView<const float> all() const { return buffer_.rows(0, rows_, width_); }
  void release() const { buffer_.release(all()); }
  const ActivationFile& buffer() const { return buffer_; }

 private:
  ActivationFile buffer_;
  int64_t width_ = 0;
  int64_t rows_ = 0;
};

// The sum Σ x·xᵀ over the tokens of all ranks of one signal of a stage.
class InputSum {
 public:
  // `width`: columns of the signal. `kept`: null, or where its rows are kept too.
  InputSum(Signal signal, int64_t width, const SampleSplit& split, KeptRows* kept = nullptr);

  Signal signal() const { return signal_; }
  // Weighs the rows: `weights`, one for every token of this rank, must outlive the sum. Is called before the
  // first sequence.
  void weigh(std::span<const double> weights) { weights_ = weights; }
  // Adds the next sequence of this rank, x (seqlen, width).
  void add(const Activation& x);
  // Returns the Gram matrix (width, width), on every rank; all ranks call it, behind their last sequence.
  Matrix<double> gram() &&;

 private:
  Signal signal_;
  ChunkSum sum_;
  KeptRows* kept_;
  std::span<const double> weights_;  // empty: all are 1
  size_t rows_ = 0;                  // rows added
};

// Adds every signal to its sums. Keeps a reference to them.
Observer adding_to(std::vector<InputSum>& sums);

}  // namespace pare
