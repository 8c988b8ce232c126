// Sampling options in a model's files: generation_config.json, or GGUF's general.sampling.*.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "io/gguf.h"
#include "runtime/sampler.h"

namespace pare {

// Sampling options of a model; those that its files do not give are empty.
struct GenerationConfig {
  std::string source;  // the file that gives them, for messages; empty: none does
  std::optional<bool> do_sample;
  std::optional<double> temperature;
  std::optional<int64_t> top_k;  // 0: all
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;
  std::optional<int64_t> max_new_tokens;

  bool operator==(const GenerationConfig&) const = default;
};

// Reads a folder's or a GGUF file's options; logs options that would change the choice of tokens and are not
// in pare. Throws kFormat and kInvalid naming the file, the key and its value.
GenerationConfig read_generation_config(const std::filesystem::path& model_path);

// Reads "eos_token_id" of a folder's generation_config.json; none without it. Throws kFormat.
std::vector<int32_t> read_generation_ends(const std::filesystem::path& folder);

// Returns `otherwise` with the model's options in its place. "do_sample" false is greedy; a file that names a
// temperature, top-k, top-p or min-p wants to be sampled, at temperature 1 where it names none, whether it
// says "do_sample" or not: so does vLLM, while transformers then stays greedy.
SamplingOptions sampling_of(const GenerationConfig& config, SamplingOptions otherwise);

// Returns "greedy", or "temperature 0.7, top-k 20, …": the options that have an effect.
std::string describe(const SamplingOptions& sampling);

// A configuration as GGUF metadata, general.sampling.*, and as keys of generation_config.json.
std::vector<GgufEntry> gguf_sampling_entries(const GenerationConfig& config);
Json generation_json(const GenerationConfig& config);

}  // namespace pare
