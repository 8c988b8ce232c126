// Sampling of a model: defaults in its files, and choices that replace them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/chat_info.h"
#include "engine/generator.h"

namespace pare {

// Sampling options that were chosen; the others are the model's.
struct SamplingChoice {
  std::optional<double> temperature = {};
  std::optional<int64_t> top_k = {};
  std::optional<double> top_p = {};
  std::optional<double> min_p = {};
  std::optional<double> repetition_penalty = {};

  // Returns `defaults` with the choices in its place. Throws kUsage for an option out of range.
  SamplingOptions over(SamplingOptions defaults) const;
};

struct GenerationChoice {
  SamplingChoice sampling;
  std::optional<int64_t> max_tokens = {};
  uint64_t seed = 0;
  std::vector<std::string> stop = {};
  bool ignore_eos = false;  // no token of the model, its tokenizer or its template ends a text

  // Returns `defaults` with all choices in its place. Throws kUsage for an option out of range.
  GenerateOptions over(GenerateOptions defaults) const;
};

// Options that a model's own files ask for, and the ends of a text in its tokenizer, in place of `otherwise`.
struct ModelDefaults {
  GenerateOptions options;
  std::string source;  // the file that has another sampling than `otherwise`, for messages; empty: none
};
ModelDefaults model_defaults(const std::string& model, const ChatInfo& chat,
                             const GenerateOptions& otherwise = {});

// Logs which defaults of the model are in use, where it has any.
void log_defaults(const ModelDefaults& defaults, const SamplingOptions& used);

}  // namespace pare
