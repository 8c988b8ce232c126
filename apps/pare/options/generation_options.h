// The options of sampling and stopping, and what stands in their place where they are not given.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/chat_info.h"
#include "engine/generator.h"

namespace pare {

// What the command line says of sampling; the model says the rest.
struct SamplingFlags {
  std::optional<double> temperature;
  std::optional<int64_t> top_k;
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;

  // `defaults` with what is given in its place. Throws kUsage for an option out of range.
  SamplingOptions over(SamplingOptions defaults) const;
};

struct GenerationFlags {
  SamplingFlags sampling;
  std::optional<int64_t> max_tokens;
  uint64_t seed = 0;
  std::vector<std::string> stop;

  // `defaults` with what the command line gives of all options in its place.
  GenerateOptions over(GenerateOptions defaults) const;
};

// --temperature, --top-k, --top-p, --min-p, --repetition-penalty; `temperature`: what a model that says
// nothing is sampled at, for --help.
void add_sampling(CLI::App& command, SamplingFlags& flags, double temperature);
// The options of add_sampling, --max-tokens, --seed and --stop.
void add_generation(CLI::App& command, GenerationFlags& flags);

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
