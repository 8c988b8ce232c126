// pare eval: perplexity of models side by side.
#include <memory>

#include "base/hash.h"
#include "base/log.h"
#include "commands.h"
#include "eval_table.h"
#include "messages.h"
#include "model/load.h"
#include "open_model.h"
#include "options.h"
#include "output.h"

namespace pare {
namespace {

struct Options {
  std::vector<std::string> models;
  std::string text;
  PerplexityOptions perplexity;
  ComputeType compute = ComputeType::kF32;
  bool json = false;
  bool markdown = false;
};

// The text as ids, by the first model's tokenizer; the others must agree.
std::vector<int32_t> tokenize_for_all(const std::vector<std::string>& models, const std::string& text,
                                      const std::string& text_path) {
  const EncodeOptions with_bos = {.add_special_tokens = true, .parse_special = true};
  std::vector<int32_t> ids;
  for (size_t m = 0; m < models.size(); ++m) {
    std::vector<int32_t> own = load_tokenizer(models[m]).encode(text, with_bos);
    if (m == 0) {
      ids = std::move(own);
    } else if (own != ids) {
      fail(ErrorCode::kInvalid, "the tokenizers of {} and {} give different ids for {}", models[0], models[m],
           text_path);
    }
  }
  return ids;
}

void run(const Options& options) {
  const std::string text = read_text(options.text);
  const std::vector<int32_t> ids = tokenize_for_all(options.models, text, options.text);
  EvalReport report;
  report.text_path = options.text;
  report.text_sha256 = sha256_hex(text);
  report.tokens = static_cast<int64_t>(ids.size());
  report.seqlen = options.perplexity.seqlen;
  report.windows = window_count(report.tokens, options.perplexity);
  report.compute = options.compute;
  if (report.windows < options.perplexity.windows)
    log_warning("{} has {} windows, fewer than {}", options.text, report.windows, options.perplexity.windows);

  std::vector<OpenModel> models;
  std::vector<const PackedModel*> packed;
  for (const std::string& path : options.models) models.push_back(open_model(path, options.compute));
  for (const OpenModel& model : models) packed.push_back(&model.packed);
  Progress progress("window");
  const auto results = measure_perplexity(packed, ids, options.perplexity,
                                          [&](int64_t done, int64_t total) { progress.update(done, total); });
  for (size_t m = 0; m < models.size(); ++m)
    report.models.push_back({options.models[m], models[m].size, results[m]});
  if (options.json)
    print_json(to_json(report));
  else
    print(to_table(report, options.markdown));
}

}  // namespace

void add_eval(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("eval", "Measure perplexity, and the distance from the first model");
  add_models(*command, options->models);
  command->add_option("--ppl", options->text, "Text file to measure perplexity on")->required();
  command->add_option("--seqlen", options->perplexity.seqlen, "Tokens of a window")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 30));
  command->add_option("--windows", options->perplexity.windows, "Use only the first windows (default: all)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
  add_compute(*command, options->compute);
  auto* json = command->add_flag("--json", options->json, "Print JSON, for machines");
  command->add_flag("--markdown", options->markdown, "Print a Markdown table")->excludes(json);
  command->callback([options] { run(*options); });
}

}  // namespace pare
