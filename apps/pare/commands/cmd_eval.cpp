// pare eval: perplexity and zero-shot accuracy of models side by side.
#include <memory>
#include <optional>

#include "base/log.h"
#include "checkpoint/load.h"
#include "commands/commands.h"
#include "engine/open_model.h"
#include "eval/shared_ids.h"
#include "io/output_file.h"
#include "options/options.h"
#include "report/eval_table.h"
#include "report/messages.h"
#include "report/output.h"
#include "report/task_table.h"
#include "runtime/pipeline.h"

namespace pare {
namespace {

struct Options {
  std::vector<std::string> models;
  std::string text;
  PerplexityOptions perplexity;
  ComputeType compute = ComputeType::kF32;
  std::vector<std::string> tasks;
  int64_t limit = 0;
  std::string samples;
  bool json = false;
  bool markdown = false;
  bool csv = false;
};

void measure_text(const Options& options, const std::vector<OpenModel>& models,
                  const std::vector<int32_t>& ids, EvalReport& report) {
  Progress progress("window");
  const auto results = measure_perplexity(packed_models(models), ids, options.perplexity,
                                          [&](int64_t done, int64_t total) { progress.update(done, total); });
  for (size_t m = 0; m < models.size(); ++m) report.models[m].perplexity = results[m];
}

TaskResult measure_one(const OpenModel& model, const Tokenizer& tokenizer, const Task& task, size_t number) {
  Progress progress(fmt::format("model {}, {}, item", number, task.name));
  return measure_task(model.packed, tokenizer, task,
                      [&](int64_t done, int64_t total) { progress.update(done, total); });
}

void measure_tasks(const Options& options, const std::vector<OpenModel>& models, EvalReport& report) {
  for (size_t m = 0; m < models.size(); ++m) {
    const Tokenizer tokenizer = load_tokenizer(options.models[m]);
    for (const Task& task : report.tasks) {
      report.models[m].tasks.push_back(measure_one(models[m], tokenizer, task, m + 1));
      // The table may be hours away: a log line keeps each result on the terminal after an interruption.
      const Estimate& found = report.models[m].tasks.back().main();
      log_info("model {}, {}: {} %", m + 1, task.name, percent(found));
    }
  }
}

// Reads the text and sets how much of it will be used.
std::vector<int32_t> read_perplexity_text(const Options& options, EvalReport& report) {
  const Documents documents = read_documents_of(options.text);
  std::vector<int32_t> ids = shared_ids(options.models, documents);
  report.text = {options.text, documents.sha256, static_cast<int64_t>(ids.size()),
                 window_count(static_cast<int64_t>(ids.size()), options.perplexity),
                 options.perplexity.seqlen};
  if (report.text->windows < options.perplexity.windows)
    log_warning("{} has {} windows, fewer than {}", options.text, report.text->windows,
                options.perplexity.windows);
  return ids;
}

void run(const Options& options, Comm& comm) {
  if (options.text.empty() && options.tasks.empty())
    fail(ErrorCode::kUsage, "nothing to measure: give --ppl FILE, --tasks FILES, or both");
  if (!comm.is_first()) {
    const std::vector<OpenModel> shares = open_models(options.models, options.compute, comm);
    return serve_stages(comm, packed_models(shares));
  }
  EvalReport report;
  report.compute = options.compute;
  std::vector<int32_t> ids;
  if (!options.text.empty()) ids = read_perplexity_text(options, report);
  for (const auto& file : find_task_files(options.tasks))
    for (Task& task : read_tasks(file, options.limit)) report.tasks.push_back(std::move(task));
  std::optional<OutputText> samples;  // opened before the work, so that a failure costs nothing
  if (!options.samples.empty()) samples.emplace(options.samples);

  const std::vector<OpenModel> models = open_models(options.models, options.compute, comm);
  const PipelineSession session(comm);
  for (size_t m = 0; m < models.size(); ++m)
    report.models.push_back({options.models[m], models[m].size, {}, {}});
  if (report.text) measure_text(options, models, ids, report);
  if (!report.tasks.empty()) measure_tasks(options, models, report);
  if (samples) samples->commit(samples_jsonl(report));
  if (options.json)
    print_json(to_json(report));
  else
    print(to_table(report, options.markdown ? TableFormat::kMarkdown
                           : options.csv    ? TableFormat::kCsv
                                            : TableFormat::kText));
}

void add_tasks(CLI::App& command, Options& options) {
  CLI::Option* tasks = add_list(
      command, "--tasks", options.tasks,
      "Zero-shot tasks, separated by commas: files of JSON records, lines or a list, gzip too (PIQA, "
      "HellaSwag, ARC, WinoGrande, BoolQ, OpenBookQA, LAMBADA, MMLU, SciQ, COPA, CommonsenseQA, Social IQA, "
      "TruthfulQA as datasets writes them, or context, choices and gold), or folders of .jsonl files");
  command.add_option("--limit", options.limit, "Use only the first items of each task (default: all)")
      ->check(CLI::Range(int64_t{1}, kMaxOption))
      ->needs(tasks);
  command
      .add_option("--samples", options.samples,
                  "Write what each item of the tasks scored to this file, as JSONL")
      ->needs(tasks);
}

}  // namespace

void add_eval(CLI::App& app, Comm& comm) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "eval", "Measure perplexity, the distance from the first model, and zero-shot accuracy");
  add_models(*command, options->models, "the baseline");
  auto* text = command->add_option("--ppl", options->text,
                                   "File to measure perplexity on: plain text, or JSON records with a text "
                                   "each; gzip too");
  command->add_option("--seqlen", options->perplexity.seqlen, "Tokens of a window")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 30))
      ->needs(text);
  command->add_option("--windows", options->perplexity.windows, "Use only the first windows (default: all)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30))
      ->needs(text);
  add_tasks(*command, *options);
  add_compute(*command, options->compute);
  auto* json = command->add_flag("--json", options->json, "Print JSON, for machines");
  auto* markdown =
      command->add_flag("--markdown", options->markdown, "Print Markdown tables")->excludes(json);
  command->add_flag("--csv", options->csv, "Print comma-separated values")
      ->excludes(json)
      ->excludes(markdown);
  command->callback([options, &comm] { run(*options, comm); });
}

}  // namespace pare
