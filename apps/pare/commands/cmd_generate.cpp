// pare generate: continue a text.
#include <memory>

#include "base/log.h"
#include "checkpoint/load.h"
#include "commands/commands.h"
#include "engine/generator.h"
#include "engine/open_model.h"
#include "options/generation_options.h"
#include "options/options.h"
#include "report/output.h"
#include "runtime/pipeline.h"

namespace pare {
namespace {

struct Options {
  std::string model;
  std::string prompt;
  GenerationChoice generate;
  ComputeType compute = ComputeType::kStored;
  bool json = false;
};

Json to_json(const Generation& g, const std::string& text) {
  return {{"text", text},
          {"finish_reason", finish_reason_name(g.finish)},
          {"prompt_tokens", g.prompt_tokens},
          {"tokens", g.tokens},
          {"prefill_seconds", g.prefill_seconds},
          {"decode_seconds", g.decode_seconds},
          {"prefill_tokens_per_second", token_rate(g.prompt_tokens, g.prefill_seconds)},
          {"decode_tokens_per_second", token_rate(g.decode_steps, g.decode_seconds)}};
}

GenerateOptions generate_options(const Options& options, const Tokenizer& tokenizer) {
  const ModelDefaults defaults = model_defaults(options.model, read_chat_info(options.model, tokenizer));
  GenerateOptions generate = options.generate.over(defaults.options);
  log_defaults(defaults, generate.sampling);
  return generate;
}

void run(const Options& options, Comm& comm) {
  options.generate.over({});  // fails before a model is opened
  if (!comm.is_first()) {
    const std::vector<OpenModel> models = open_models({options.model}, options.compute, comm);
    return serve_stages(comm, packed_models(models));
  }
  const Tokenizer tokenizer = load_tokenizer(options.model);
  const std::string prompt = options.prompt == "-" ? read_text("-") : options.prompt;
  const std::vector<int32_t> ids = tokenizer.encode(prompt, {true, true});
  const std::vector<OpenModel> models = open_models({options.model}, options.compute, comm);
  const PipelineSession session(comm);
  const GenerateOptions generate = generate_options(options, tokenizer);
  const OpenModel& model = models.front();
  std::string text;
  const auto sink = [&](std::string_view piece) {
    if (options.json)
      text += piece;
    else
      print(piece);
    return true;
  };
  const Generation result = Generator(model.packed, tokenizer).generate(ids, generate, sink);
  if (options.json) {
    print_json(to_json(result, text));
    return;
  }
  print("\n");
  log_info("{}: {} prompt tokens at {:.1f}/s, {} new tokens at {:.1f}/s", finish_reason_name(result.finish),
           result.prompt_tokens, token_rate(result.prompt_tokens, result.prefill_seconds),
           result.tokens.size(), token_rate(result.decode_steps, result.decode_seconds));
}

}  // namespace

void add_generate(CLI::App& app, Comm& comm) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("generate", "Continue a text");
  add_model(*command, options->model);
  command->add_option("-p,--prompt", options->prompt, "Text to continue; - reads the standard input")
      ->required();
  add_generation(*command, options->generate);
  command->add_flag("--ignore-eos", options->generate.ignore_eos, "Go on after the end-of-sequence token");
  add_compute(*command, options->compute);
  add_json(*command, options->json);
  command->callback([options, &comm] { run(*options, comm); });
}

}  // namespace pare
