#include "pare/evaluate.h"

#include "api/guard.h"
#include "api/precision.h"
#include "checkpoint/load.h"
#include "engine/open_model.h"
#include "eval/multiple_choice.h"
#include "eval/perplexity.h"
#include "eval/shared_ids.h"
#include "eval/task_file.h"

namespace pare::api {
namespace {

struct Measurement {
  std::vector<int32_t> ids;  // ids of the text; empty: there is no text
  std::vector<Task> tasks;
};

// Reads everything before a model is opened, so that what is wrong is found at once.
Measurement read_measurement(const std::vector<std::string>& models, const EvaluateOptions& options) {
  if (models.empty()) fail(pare::ErrorCode::kUsage, "there is no model to measure");
  if (options.ppl.empty() && options.tasks.empty())
    fail(pare::ErrorCode::kUsage, "nothing to measure: give `ppl`, `tasks`, or both");
  if (options.limit < 0) fail(pare::ErrorCode::kUsage, "`limit` is {}, expected 0 or more", options.limit);
  Measurement measurement;
  if (!options.ppl.empty()) {
    measurement.ids = shared_ids(models, read_documents(options.ppl));
    window_count(static_cast<int64_t>(measurement.ids.size()), {options.seqlen, options.windows});
  }
  for (const auto& file : find_task_files(options.tasks))
    for (Task& task : read_tasks(file, options.limit)) measurement.tasks.push_back(std::move(task));
  return measurement;
}

void measure_text(const std::vector<const PackedModel*>& packed, const std::vector<int32_t>& ids,
                  const EvaluateOptions& options, const Progress& progress, std::vector<Quality>& results) {
  const auto told = [&](int64_t done, int64_t total) {
    if (progress) progress("window", done, total);
  };
  const auto found = measure_perplexity(packed, ids, {options.seqlen, options.windows}, told);
  for (size_t m = 0; m < found.size(); ++m) {
    results[m].perplexity = found[m].perplexity();
    results[m].perplexity_error = found[m].standard_error();
    results[m].kl = found[m].kl;
    results[m].kl_99 = found[m].kl_99;
    results[m].top1 = found[m].top1;
  }
}

// Scores a model on each task. `first` holds the results of the first model, which are added where it is
// empty.
void measure_tasks(const PackedModel& packed, const std::vector<Task>& tasks, const Progress& progress,
                   std::vector<TaskResult>& first, Quality& quality) {
  const Tokenizer tokenizer = load_tokenizer(quality.model);
  for (size_t t = 0; t < tasks.size(); ++t) {
    const Task& task = tasks[t];
    const auto told = [&](int64_t done, int64_t total) {
      if (progress) progress(task.name, done, total);
    };
    const TaskResult found = measure_task(packed, tokenizer, task, told);
    if (first.size() == t) first.push_back(found);
    quality.tasks.push_back({.name = task.name,
                             .accuracy = found.main().value,
                             .standard_error = found.main().standard_error,
                             .flips = flips(task, first[t], found)});
  }
}

}  // namespace

std::vector<Quality> evaluate(const std::vector<std::string>& models, const EvaluateOptions& options,
                              const Progress& progress) {
  return guarded([&] {
    const Measurement measurement = read_measurement(models, options);
    std::vector<OpenModel> opened;
    std::vector<Quality> results;
    for (const std::string& path : models) {
      opened.push_back(open_model(path, compute_type(options.precision)));
      results.push_back(
          {.model = path, .parameters = opened.back().size.parameters, .bytes = opened.back().size.bytes});
    }
    if (!measurement.ids.empty())
      measure_text(packed_models(opened), measurement.ids, options, progress, results);
    std::vector<TaskResult> first;
    for (size_t m = 0; m < models.size() && !measurement.tasks.empty(); ++m)
      measure_tasks(opened[m].packed, measurement.tasks, progress, first, results[m]);
    return results;
  });
}

}  // namespace pare::api
