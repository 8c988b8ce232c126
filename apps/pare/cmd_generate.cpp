// pare generate: continue a text.
#include <limits>
#include <memory>

#include "base/log.h"
#include "commands.h"
#include "engine/generator.h"
#include "model/load.h"
#include "open_model.h"
#include "options.h"
#include "output.h"

namespace pare {
namespace {

constexpr int64_t kMaxCount = 1 << 30;  // CLI11 clamps what does not fit the type, so bounds must be below

struct Options {
  std::string model;
  std::string prompt;
  GenerateOptions generate;
  ComputeType compute = ComputeType::kBF16;
  bool json = false;
};

double rate(int64_t count, double seconds) {
  return seconds > 0.0 ? static_cast<double>(count) / seconds : 0.0;
}

Json to_json(const Generation& g, const std::string& text) {
  return {{"text", text},
          {"finish_reason", finish_reason_name(g.finish)},
          {"prompt_tokens", g.prompt_tokens},
          {"tokens", g.tokens},
          {"prefill_seconds", g.prefill_seconds},
          {"decode_seconds", g.decode_seconds},
          {"prefill_tokens_per_second", rate(g.prompt_tokens, g.prefill_seconds)},
          {"decode_tokens_per_second", rate(g.decode_steps, g.decode_seconds)}};
}

void run(const Options& options) {
  validate(options.generate);
  const Tokenizer tokenizer = load_tokenizer(options.model);
  const std::string prompt = options.prompt == "-" ? read_text("-") : options.prompt;
  const std::vector<int32_t> ids = tokenizer.encode(prompt, {true, true});
  const OpenModel model = open_model(options.model, options.compute);
  std::string text;
  const auto sink = [&](std::string_view piece) {
    if (options.json)
      text += piece;
    else
      print(piece);
    return true;
  };
  const Generation result = Generator(model.packed, tokenizer).generate(ids, options.generate, sink);
  if (options.json) {
    print_json(to_json(result, text));
    return;
  }
  print("\n");
  log_info("{}: {} prompt tokens at {:.1f}/s, {} new tokens at {:.1f}/s", finish_reason_name(result.finish),
           result.prompt_tokens, rate(result.prompt_tokens, result.prefill_seconds), result.tokens.size(),
           rate(result.decode_steps, result.decode_seconds));
}

}  // namespace

void add_generate(CLI::App& app) {
  auto options = std::make_shared<Options>();
  GenerateOptions& g = options->generate;
  SamplingOptions& s = g.sampling;
  CLI::App* command = app.add_subcommand("generate", "Continue a text");
  add_model(*command, options->model);
  command->add_option("-p,--prompt", options->prompt, "Text to continue; - reads the standard input")
      ->required();
  command->add_option("-n,--max-tokens", g.max_tokens, "Tokens to generate at most")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, kMaxCount));
  command->add_option("--temperature", s.temperature, "0: always the most probable token")
      ->capture_default_str();
  command->add_option("--top-k", s.top_k, "Sample from the k most probable tokens; 0: all")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, kMaxCount));
  command->add_option("--top-p", s.top_p, "Sample from the smallest set of this probability")
      ->capture_default_str();
  command->add_option("--min-p", s.min_p, "Leave out tokens less probable than this share of the best")
      ->capture_default_str();
  command->add_option("--repetition-penalty", s.repetition_penalty, "Above 1: repeat less")
      ->capture_default_str();
  command->add_option("--seed", s.seed, "Seed of the sampling")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, std::numeric_limits<int64_t>::max() - 1));
  command->add_option("--stop", g.stop, "Text to stop at (may be given several times)")
      ->allow_extra_args(false);
  command->add_flag("--ignore-eos", g.ignore_eos, "Go on after the end-of-sequence token");
  add_compute(*command, options->compute);
  add_json(*command, options->json);
  command->callback([options] { run(*options); });
}

}  // namespace pare
