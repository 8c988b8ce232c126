// The calibration sequences, split over ranks so that sums over them do not depend on how many ranks there
// are.
#pragma once

#include <cstdint>

#include "base/comm.h"
#include "linalg/linalg.h"

namespace pare {

// Number of contiguous chunks in which sequences are summed, whoever works on them; the sums of the chunks
// are added up in order.
inline constexpr int64_t kSampleChunks = 4;

// Returns the most that a rank gets of `count` things that are shared by the ranks.
inline int64_t share_of(int64_t count, int64_t ranks) { return (count + ranks - 1) / ranks; }

// Throws kUsage unless the ranks share the chunks evenly.
void require_split(const Comm& comm);

class SampleSplit {
 public:
  // Keeps a reference to `comm`.
  SampleSplit(Comm& comm, int64_t sequences);

  Comm& comm() const { return comm_; }
  int64_t total() const { return total_; }
  // Sequences of this rank: the index of the first one, and their number.
  int64_t first() const { return begin_of(own_chunk()); }
  int64_t count() const { return begin_of(own_chunk() + own_chunks()) - first(); }
  // Returns the chunk of this rank's `index`-th sequence.
  int64_t chunk_of(int64_t index) const;
  // Returns the rank that has a sequence.
  int owner(int64_t sequence) const;

 private:
  int64_t begin_of(int64_t chunk) const { return chunk * total_ / kSampleChunks; }
  int64_t own_chunks() const { return kSampleChunks / comm_.size(); }
  int64_t own_chunk() const { return comm_.rank() * own_chunks(); }

  Comm& comm_;
  int64_t total_;
};

// One matrix per sequence, summed over the sequences of all ranks: ((c0 + c1) + c2) + c3 for the sums c of
// the chunks, on any number of ranks. Holds one matrix, and a second one behind a rank's first chunk.
class ChunkSum {
 public:
  ChunkSum(const SampleSplit& split, int64_t rows, int64_t cols);
  // Returns the matrix (rows, cols) that the rank's next sequence is added to.
  MatrixView<double> next();
  // Returns the sum, on every rank; all ranks call it, behind their last sequence.
  Matrix<double> total() &&;

 private:
  void begin_chunk();

  SampleSplit split_;
  int64_t seen_ = 0;
  int64_t chunk_ = -1;    // index of the chunk that is being added to
  Matrix<double> sum_;    // sum of the first chunks
  Matrix<double> later_;  // sum of the chunk behind them; empty: none
};

}  // namespace pare
