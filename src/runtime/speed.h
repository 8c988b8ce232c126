// Speed measurements: prefill, decode, and the memory bandwidth to judge them by.
#pragma once

#include <deque>
#include <vector>

#include "runtime/kv_cache.h"
#include "runtime/packed_model.h"

namespace pare {

struct SpeedOptions {
  int64_t prefill = 512;  // tokens of the prompt
  int64_t decode = 64;    // tokens produced one by one
  int64_t depth = 512;    // tokens in the context when decoding starts, at most `prefill`
};

struct SpeedSample {
  double prefill_seconds = 0.0;
  double decode_seconds = 0.0;
  // Parts of the seconds above that linears took; 0 without a LinearClock.
  double prefill_linear_seconds = 0.0;
  double decode_linear_seconds = 0.0;
};

// Returns the median of measurements, of which there is at least one.
double median(std::vector<double> values);

// Counts the seconds that a model spends in its linears, where and when it really runs them.
class LinearClock {
 public:
  // Puts itself around every linear of the model; the model must not run after the clock is gone.
  explicit LinearClock(PackedModel& model);
  LinearClock(const LinearClock&) = delete;
  LinearClock& operator=(const LinearClock&) = delete;
  // Returns the seconds of each linear since the last call, in the order of PackedModel::linears().
  std::vector<double> take();

 private:
  std::deque<double> seconds_;  // seconds of each linear, which refers to its own
};

// Runs the same seeded token ids through a model again and again.
class SpeedTest {
 public:
  // The model and its clock must outlive the test. Throws kUsage when options are out of range and kInvalid
  // when they exceed the model's context.
  SpeedTest(const PackedModel& model, const SpeedOptions& options, LinearClock* clock = nullptr);
  SpeedSample run();
  // The parts of run(), which return their seconds; the prompt is read once before any decode().
  double prefill();
  double decode();
  // Bytes of keys and values read to produce one token, on average over the decode.
  double kv_bytes_per_token() const;
  int64_t kv_cache_bytes() const { return cache_.bytes(); }

 private:
  const PackedModel& model_;
  LinearClock* clock_;
  SpeedOptions options_;
  std::vector<int32_t> tokens_;
  KvCache cache_;
};

// Bytes per second that thread_count() threads read from memory in several streams each. `bytes` should
// exceed the last-level cache.
double read_bandwidth(int64_t bytes);

}  // namespace pare
