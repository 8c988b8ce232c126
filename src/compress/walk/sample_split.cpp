#include "compress/walk/sample_split.h"

#include <algorithm>

namespace pare {
namespace {

constexpr int64_t kPieceValues = int64_t{1} << 17;  // values of a piece of a sum that travels

void add(const double* from, double* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] += from[i];
}

}  // namespace

void require_split(const Comm& comm) {
  if (kSampleChunks % comm.size() != 0)
    fail(ErrorCode::kUsage, "calibration samples are split over 1, 2 or {} ranks, not {}", kSampleChunks,
         comm.size());
}

SampleSplit::SampleSplit(Comm& comm, int64_t sequences) : comm_(comm), total_(sequences) {
  require_split(comm);
}

int64_t SampleSplit::chunk_of(int64_t index) const {
  int64_t chunk = own_chunk();
  while (begin_of(chunk + 1) <= first() + index) ++chunk;
  return chunk;
}

int SampleSplit::owner(int64_t sequence) const {
  int64_t chunk = 0;
  while (begin_of(chunk + 1) <= sequence) ++chunk;
  return static_cast<int>(chunk / own_chunks());
}

ChunkSum::ChunkSum(const SampleSplit& split, int64_t rows, int64_t cols)
    : split_(split), sum_(Matrix<double>::zeros(rows, cols)) {}

MatrixView<double> ChunkSum::next() {
  PARE_CHECK(seen_ < split_.count());
  const int64_t chunk = split_.chunk_of(seen_++);
  if (chunk_ >= 0 && chunk != chunk_) begin_chunk();
  chunk_ = chunk;
  return later_.empty() ? sum_.view() : later_.view();
}

void ChunkSum::begin_chunk() {
  if (later_.empty()) {
    later_ = Matrix<double>(sum_.rows(), sum_.cols());
  } else {
    // Only the first rank has the sum before its second chunk; others have no third one.
    PARE_CHECK(split_.comm().is_first());
    add(later_.data(), sum_.data(), sum_.size());
  }
  std::fill_n(later_.data(), later_.size(), 0.0);
}

Matrix<double> ChunkSum::total() && {
  PARE_CHECK(seen_ == split_.count());
  Comm& comm = split_.comm();
  const int last = comm.size() - 1;
  Matrix<double> before(1, comm.is_first() ? 0 : std::min(kPieceValues, sum_.size()));
  // The running sum goes from rank to rank, the total from the last one to all.
  for (int64_t begin = 0; begin < sum_.size(); begin += kPieceValues) {
    const int64_t count = std::min(kPieceValues, sum_.size() - begin);
    double* own = sum_.data() + begin;
    if (!comm.is_first()) {
      comm.receive(comm.rank() - 1, bytes_of(before.data(), count));
      add(before.data(), own, count);
    }
    if (!later_.empty()) add(later_.data() + begin, own, count);
    if (comm.rank() < last) comm.send(comm.rank() + 1, bytes_of(own, count));
  }
  later_ = {};
  for (int64_t begin = 0; begin < sum_.size(); begin += kPieceValues)
    comm.broadcast(last, bytes_of(sum_.data() + begin, std::min(kPieceValues, sum_.size() - begin)));
  return std::move(sum_);
}

}  // namespace pare
