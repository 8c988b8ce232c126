// Parts of the estimates of a run's needs.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "model/config.h"

namespace pare {

inline constexpr int64_t kProgramMemory = int64_t{64} << 20;  // bytes: code, tokenizer, tables

// Sequences of random tokens, to measure time with; the same every time.
std::vector<std::vector<int32_t>> random_sequences(const ModelConfig& config, int64_t count, int64_t seqlen);

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace pare
