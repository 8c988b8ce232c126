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
    results[m].top1 = found[m].top1;
  }
}

TaskScore score_of(const PackedModel& packed, const Tokenizer& tokenizer, const Task& task,
                   const Progress& progress) {
  const auto told = [&](int64_t done, int64_t total) {
    if (progress) progress(task.name, done, total);
  };
  const Estimate found = measure_task(packed, tokenizer, task, told).main();
  return {.name = task.name, .accuracy = found.value, .standard_error = found.standard_error};
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
    for (size_t m = 0; m < models.size() && !measurement.tasks.empty(); ++m) {
      const Tokenizer tokenizer = load_tokenizer(models[m]);
      for (const Task& task : measurement.tasks)
        results[m].tasks.push_back(score_of(opened[m].packed, tokenizer, task, progress));
    }
    return results;
  });
}

}  // namespace pare::api
