// Text generation, one sequence at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/kv_cache.h"
#include "runtime/packed_model.h"
#include "runtime/sampler.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_tokens = 256;            // 0: the prompt alone is worked on
  int64_t min_tokens = 0;              // tokens before which nothing ends the generation
  std::vector<std::string> stop = {};  // texts that end the generation; never part of the output
  std::vector<int32_t> stop_ids = {};  // tokens that end it, beside the model's end-of-sequence tokens
  bool ignore_eos = false;             // true: the model's end-of-sequence tokens do not end it
  // Number of the most probable tokens that are told beside each one; nothing: no scores are computed.
  std::optional<int64_t> logprobs = {};
  bool score_prompt = false;  // the tokens of the prompt are scored as well, which needs `logprobs`
};

// Throws kUsage naming the option that is out of range.
void validate(const GenerateOptions& options);

enum class FinishReason { kEos, kStop, kLength, kCancelled };
std::string_view finish_reason_name(FinishReason reason);

struct Generation {
  std::vector<int32_t> tokens;  // generated, the end-of-sequence token not included
  FinishReason finish = FinishReason::kLength;
  int64_t prompt_tokens = 0;
  int64_t decode_steps = 0;      // number of forward passes after the prompt's
  double prefill_seconds = 0.0;  // time until the first token was chosen
  double decode_seconds = 0.0;
};

// Returns the context that was asked for, at most the model's. Throws kUsage below 1.
int64_t usable_context(int64_t context, const ModelConfig& config);

// Returns how many tokens two sequences begin with alike.
int64_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b);

// Tokens a second; 0 when no time has passed.
double token_rate(int64_t tokens, double seconds);

// Returns the ids to start from: the prompt, or BOS for an empty one. Throws kInvalid when there is no BOS,
// when an id is outside the vocabulary, or when the prompt leaves no room in a context of so many tokens.
std::vector<int32_t> starting_ids(std::span<const int32_t> prompt, const ModelConfig& config,
                                  int64_t context);

// Receives text as it becomes complete, in whole code points; returns whether to go on.
using TextSink = std::function<bool(std::string_view)>;

class Generator {
 public:
  // Model and tokenizer must outlive the generator.
  Generator(const PackedModel& model, const Tokenizer& tokenizer) : model_(model), tokenizer_(tokenizer) {}

  // Continues `prompt`. An empty prompt is the BOS token, if the model has one. Ends at max_tokens or where
  // the model's context is full, whichever comes first. Throws kUsage for options out of range, and as
  // starting_ids() does.
  Generation generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                      const TextSink& sink) const;
  // Continues `history`, of which `cache` holds the first tokens, at least one fewer than all: the others
  // are the prompt. Appends what it generates to `history`; the cache may lack the last of it. Ends at
  // max_tokens or where the cache is full. Throws as generate() does, and kInvalid when there is no room.
  Generation extend(std::vector<int32_t>& history, KvCache& cache, const GenerateOptions& options,
                    const TextSink& sink) const;

 private:
  const PackedModel& model_;
  const Tokenizer& tokenizer_;
};

}  // namespace pare
