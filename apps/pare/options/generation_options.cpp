#include "options/generation_options.h"

#include <limits>

#include "base/log.h"
#include "checkpoint/generation_config.h"

namespace pare {
namespace {

constexpr int64_t kMaxCount = 1 << 30;  // CLI11 clamps what does not fit the type, so bounds must be below

}  // namespace

SamplingOptions SamplingFlags::over(SamplingOptions defaults) const {
  defaults.temperature = temperature.value_or(defaults.temperature);
  defaults.top_k = top_k.value_or(defaults.top_k);
  defaults.top_p = top_p.value_or(defaults.top_p);
  defaults.min_p = min_p.value_or(defaults.min_p);
  defaults.repetition_penalty = repetition_penalty.value_or(defaults.repetition_penalty);
  validate(defaults);
  return defaults;
}

GenerateOptions GenerationFlags::over(GenerateOptions defaults) const {
  defaults.sampling = sampling.over(defaults.sampling);
  defaults.sampling.seed = seed;
  defaults.max_tokens = max_tokens.value_or(defaults.max_tokens);
  defaults.stop = stop;
  validate(defaults);
  return defaults;
}

void add_sampling(CLI::App& command, SamplingFlags& flags, double temperature) {
  command.add_option(
      "--temperature", flags.temperature,
      fmt::format("0: always the most probable token (default: the model's, else {:g})", temperature));
  command
      .add_option("--top-k", flags.top_k,
                  "Sample from the k most probable tokens; 0: all (default: the model's, else all)")
      ->check(CLI::Range(int64_t{0}, kMaxCount).description(""));
  command.add_option("--top-p", flags.top_p,
                     "Sample from the smallest set of this probability (default: the model's, else 1)");
  command.add_option(
      "--min-p", flags.min_p,
      "Leave out tokens less probable than this share of the best (default: the model's, else 0)");
  command.add_option("--repetition-penalty,--repeat-penalty", flags.repetition_penalty,
                     "Above 1: repeat less (default: the model's, else 1)");
}

void add_generation(CLI::App& command, GenerationFlags& flags) {
  const GenerateOptions usual;
  command
      .add_option("-n,--max-tokens", flags.max_tokens,
                  fmt::format("Tokens to generate at most (default: the model's, else {})", usual.max_tokens))
      ->check(CLI::Range(int64_t{1}, kMaxCount).description(""));
  add_sampling(command, flags.sampling, usual.sampling.temperature);
  command.add_option("--seed", flags.seed, "Seed of the sampling")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, std::numeric_limits<int64_t>::max() - 1));
  command.add_option("--stop", flags.stop, "Text to stop at (may be given several times)")
      ->allow_extra_args(false);
}

ModelDefaults model_defaults(const std::string& model, const ChatInfo& chat,
                             const GenerateOptions& otherwise) {
  const GenerationConfig config = read_generation_config(model);
  ModelDefaults defaults{otherwise, config.source};
  defaults.options.sampling = sampling_of(config, otherwise.sampling);
  if (describe(defaults.options.sampling) == describe(otherwise.sampling)) defaults.source.clear();
  defaults.options.max_tokens = config.max_new_tokens.value_or(otherwise.max_tokens);
  if (chat.eos) defaults.options.stop_ids.push_back(*chat.eos);
  return defaults;
}

void log_defaults(const ModelDefaults& defaults, const SamplingOptions& used) {
  if (!defaults.source.empty())
    log_info("sampling is {}; defaults are those of {}", describe(used), defaults.source);
}

}  // namespace pare
