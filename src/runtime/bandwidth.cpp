#include <algorithm>
#include <atomic>
#include <chrono>

#include "base/aligned_buffer.h"
#include "base/parallel.h"
#include "base/seconds.h"
#include "runtime/speed.h"

namespace pare {
namespace {

// One core needs several streams and prefetches far ahead to reach its share of the memory bandwidth.
constexpr int64_t kStreams = 4;   // as many as the kernels read; eight thrash the second cache of Zen 3
constexpr int64_t kLine = 8;      // words of a cache line
constexpr int64_t kAhead = 4096;  // words: 32 KB
constexpr int64_t kSlicesPerThread = 4;  // so that a thread that is late does not delay the rest

uint64_t read_streams(const uint64_t* data, int64_t words) {
  const int64_t per_stream = words / kStreams / kLine * kLine;
  uint64_t sums[kLine] = {};
  for (int64_t i = 0; i < per_stream; i += kLine) {
    for (int64_t s = 0; s < kStreams; ++s) {
      const uint64_t* line = data + s * per_stream + i;
      __builtin_prefetch(line + kAhead, 0, 2);
      for (int64_t w = 0; w < kLine; ++w) sums[w] += line[w];
    }
  }
  uint64_t sum = 0;
  for (const uint64_t s : sums) sum += s;
  return sum;
}

}  // namespace

double read_bandwidth(int64_t bytes) {
  const int64_t slices = kSlicesPerThread * thread_count();
  const int64_t words = bytes / static_cast<int64_t>(sizeof(uint64_t)) / slices;
  // The tail lets prefetches of the last slice stay inside the buffer.
  AlignedBuffer<uint64_t> buffer(static_cast<size_t>(words * slices + kAhead));
  std::fill_n(buffer.data(), words * slices + kAhead, 1);
  std::atomic<uint64_t> sink = 0;  // keeps the reads from being optimised away
  const auto start = std::chrono::steady_clock::now();
  parallel_for(slices, [&](int64_t i) { sink += read_streams(buffer.data() + i * words, words); });
  const double seconds = seconds_since(start);
  PARE_CHECK(sink > 0);
  return static_cast<double>(words * slices * static_cast<int64_t>(sizeof(uint64_t))) / seconds;
}

}  // namespace pare
