// Choosing the next token from logits.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/rng.h"

namespace pare {

struct SamplingOptions {
  double temperature = 0.0;         // 0: greedy
  int64_t top_k = 0;                // 0: all
  double top_p = 1.0;               // nucleus: smallest set with this much probability
  double min_p = 0.0;               // relative to the most probable token
  double repetition_penalty = 1.0;  // > 1 makes tokens already seen less likely (CTRL, Keskar et al. 2019)
  double frequency_penalty = 0.0;   // taken off a logit for each time that its token was generated
  double presence_penalty = 0.0;    // taken off a logit once when its token was generated
  std::vector<std::pair<int32_t, float>> logit_bias = {};  // added to the logits of these ids
  uint64_t seed = 0;
};

// Throws kUsage naming the option that is out of range.
void validate(const SamplingOptions& options);

class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);
  // Draws a token from logits (vocab). `history`: tokens of the repetition penalty; the last `generated` of
  // them are those of the frequency and presence penalties. `forbidden` ids are left out while others remain.
  // The order of steps is bias, penalties, and then Hugging Face's: temperature, top-k, top-p, min-p, draw.
  int32_t sample(std::span<const float> logits, std::span<const int32_t> history, size_t generated = 0,
                 std::span<const int32_t> forbidden = {});

 private:
  // Adds the bias to the scores and takes off the penalties.
  void adjust(std::span<const int32_t> history, size_t generated, std::span<const int32_t> forbidden);

  SamplingOptions options_;
  Rng rng_;
  std::vector<float> scores_;
  std::vector<int32_t> order_;
};

}  // namespace pare
