#include "options/generation_options.h"

#include <limits>

namespace pare {
namespace {

constexpr int64_t kMaxCount = 1 << 30;  // CLI11 clamps what does not fit the type, so bounds must be below

}  // namespace

void add_sampling(CLI::App& command, SamplingChoice& choice, double temperature) {
  command.add_option(
      "--temperature", choice.temperature,
      fmt::format("0: always the most probable token (default: the model's, else {:g})", temperature));
  command
      .add_option("--top-k", choice.top_k,
                  "Sample from the k most probable tokens; 0: all (default: the model's, else all)")
      ->check(CLI::Range(int64_t{0}, kMaxCount).description(""));
  command.add_option("--top-p", choice.top_p,
                     "Sample from the smallest set of this probability (default: the model's, else 1)");
  command.add_option(
      "--min-p", choice.min_p,
      "Leave out tokens less probable than this share of the best (default: the model's, else 0)");
  command.add_option("--repetition-penalty,--repeat-penalty", choice.repetition_penalty,
                     "Above 1: repeat less (default: the model's, else 1)");
}

void add_generation(CLI::App& command, GenerationChoice& choice) {
  const GenerateOptions usual;
  command
      .add_option("-n,--max-tokens", choice.max_tokens,
                  fmt::format("Tokens to generate at most (default: the model's, else {})", usual.max_tokens))
      ->check(CLI::Range(int64_t{1}, kMaxCount).description(""));
  add_sampling(command, choice.sampling, usual.sampling.temperature);
  command.add_option("--seed", choice.seed, "Seed of the sampling")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, std::numeric_limits<int64_t>::max() - 1));
  command.add_option("--stop", choice.stop, "Text to stop at (may be given several times)")
      ->allow_extra_args(false);
}

}  // namespace pare
