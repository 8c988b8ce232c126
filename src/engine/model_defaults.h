// How a model is sampled: what its files say, and what is chosen in their place.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/chat_info.h"
#include "engine/generator.h"

namespace pare {

// What is chosen of sampling; the model says the rest.
struct SamplingChoice {
  std::optional<double> temperature = {};
  std::optional<int64_t> top_k = {};
  std::optional<double> top_p = {};
  std::optional<double> min_p = {};
  std::optional<double> repetition_penalty = {};

  // `defaults` with what is chosen in its place. Throws kUsage for an option out of range.
  SamplingOptions over(SamplingOptions defaults) const;
};

struct GenerationChoice {
  SamplingChoice sampling;
  std::optional<int64_t> max_tokens = {};
  uint64_t seed = 0;
  std::vector<std::string> stop = {};

  // `defaults` with what is chosen of all options in its place. Throws kUsage for an option out of range.
  GenerateOptions over(GenerateOptions defaults) const;
};

// How a model's own files want it to be sampled and where its tokenizer ends a text, in place of `otherwise`.
struct ModelDefaults {
  GenerateOptions options;
  std::string source;  // the file that has another sampling than `otherwise`, for messages; empty: none
};
ModelDefaults model_defaults(const std::string& model, const ChatInfo& chat,
                             const GenerateOptions& otherwise = {});

// Says which defaults of the model are in use, where it has any.
void log_defaults(const ModelDefaults& defaults, const SamplingOptions& used);

}  // namespace pare
