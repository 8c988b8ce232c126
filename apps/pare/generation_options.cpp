#include "generation_options.h"

#include <limits>

namespace pare {
namespace {

constexpr int64_t kMaxCount = 1 << 30;  // CLI11 clamps what does not fit the type, so bounds must be below

}  // namespace

void add_generation(CLI::App& command, GenerateOptions& options) {
  SamplingOptions& s = options.sampling;
  command.add_option("-n,--max-tokens", options.max_tokens, "Tokens to generate at most")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, kMaxCount));
  command.add_option("--temperature", s.temperature, "0: always the most probable token")
      ->capture_default_str();
  command.add_option("--top-k", s.top_k, "Sample from the k most probable tokens; 0: all")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, kMaxCount));
  command.add_option("--top-p", s.top_p, "Sample from the smallest set of this probability")
      ->capture_default_str();
  command.add_option("--min-p", s.min_p, "Leave out tokens less probable than this share of the best")
      ->capture_default_str();
  command.add_option("--repetition-penalty", s.repetition_penalty, "Above 1: repeat less")
      ->capture_default_str();
  command.add_option("--seed", s.seed, "Seed of the sampling")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, std::numeric_limits<int64_t>::max() - 1));
  command.add_option("--stop", options.stop, "Text to stop at (may be given several times)")
      ->allow_extra_args(false);
}

}  // namespace pare
