#include "report/task_table.h"

#include <algorithm>
#include <cctype>

namespace pare {
namespace {

std::string_view main_metric(const Task& task) {
  return task.metrics == TaskMetrics::kNormalized ? "acc_norm" : "acc";
}

// Names a column; the kind stands beside a name that does not say it already.
std::string column_name(const Task& task) {
  const bool said =
      std::equal(task.name.begin(), task.name.end(), task.kind.begin(), task.kind.end(),
                 [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
  return said ? task.name : fmt::format("{} ({})", task.name, task.kind);
}

// Returns the share of the first model's mean; nothing when that mean is 0.
std::optional<double> kept(const EvalReport& report, const Estimate& mean) {
  const double first = mean_of(report.models.front().tasks).value;
  return first > 0.0 ? std::optional(mean.value / first) : std::nullopt;
}

// Returns the flips of a model from the first on one task.
std::optional<double> flips_of(const EvalReport& report, const EvalReport::Entry& entry, size_t task) {
  return flips(report.tasks[task], report.models.front().tasks[task], entry.tasks[task]);
}

// Returns the mean of the flips over the tasks that have them; nothing when none has.
std::optional<double> mean_flips(const EvalReport& report, const EvalReport::Entry& entry) {
  std::vector<double> shares;
  for (size_t t = 0; t < report.tasks.size(); ++t)
    if (const auto share = flips_of(report, entry, t)) shares.push_back(*share);
  return shares.empty() ? std::nullopt : std::optional(mean_of(shares).value);
}

void add_estimate(Json& object, const std::string& name, const Estimate& estimate) {
  object[name] = estimate.value;
  object[name + "_stderr"] = optional_json(estimate.standard_error);
}

void add_csv(std::vector<std::string>& cells, const Estimate& estimate) {
  cells.push_back(fmt::format("{}", estimate.value));
  cells.push_back(optional_cell(estimate.standard_error));
}

Json sample_json(const Task& task, const TaskResult& result, size_t index) {
  const TaskItem& item = task.items[index];
  const std::vector<Loglikelihood>& scores = result.items[index];
  Json sample = {{"task", task.name}, {"item", index}, {"gold", item.gold}};
  sample["loglikelihoods"] = Json::array();
  for (const Loglikelihood& score : scores) sample["loglikelihoods"].push_back(score.sum);
  if (task.metrics == TaskMetrics::kLastWord) {
    sample["greedy"] = scores.front().greedy;
    return sample;
  }
  if (task.metrics == TaskMetrics::kTrueMass) {
    sample["true_mass"] = true_mass(scores, item.truths);
    return sample;
  }
  sample["choice"] = best_choice(scores);
  if (!item.lengths.empty()) sample["choice_norm"] = best_choice(scores, item.lengths);
  return sample;
}

}  // namespace

std::string percent(const Estimate& estimate) {
  const auto& error = estimate.standard_error;
  return with_error(100.0 * estimate.value, error ? std::optional(100.0 * *error) : std::nullopt, 2);
}

std::string tasks_summary(const EvalReport& report) {
  std::string text;
  for (const Task& task : report.tasks)
    text += fmt::format("{} (sha256 {}): {}, {} items, {} in %, {}\n", task.path, task.sha256.substr(0, 12),
                        task.kind, task.items.size(), main_metric(task), compute_type_name(report.compute));
  return text;
}

Json tasks_json(const EvalReport& report) {
  Json tasks = Json::array();
  for (const Task& task : report.tasks)
    tasks.push_back({{"name", task.name},
                     {"path", task.path},
                     {"sha256", task.sha256},
                     {"kind", task.kind},
                     {"items", task.items.size()},
                     {"main_metric", main_metric(task)}});
  return tasks;
}

void add_task_figures(Json& model, const EvalReport& report, const EvalReport::Entry& entry) {
  Json tasks = Json::object();
  for (size_t t = 0; t < report.tasks.size(); ++t) {
    const TaskResult& result = entry.tasks[t];
    Json figures;
    add_estimate(figures, "acc", result.accuracy);
    if (result.normalized_accuracy) add_estimate(figures, "acc_norm", *result.normalized_accuracy);
    if (result.perplexity) add_estimate(figures, "perplexity", *result.perplexity);
    for (const auto& [subject, estimate] : result.subjects)
      add_estimate(figures["subjects"][subject], "acc", estimate);
    figures["flips"] = optional_json(flips_of(report, entry, t));
    figures["items"] = result.items.size();
    figures["tokens"] = result.tokens;
    figures["seconds"] = result.seconds;
    tasks[report.tasks[t].name] = figures;
  }
  const Estimate mean = mean_of(entry.tasks);
  model["tasks"] = tasks;
  add_estimate(model, "tasks_mean", mean);
  model["tasks_kept"] = optional_json(kept(report, mean));
  model["tasks_flips"] = optional_json(mean_flips(report, entry));
}

Table task_table(const EvalReport& report) {
  std::vector<std::string> header = {"model"};
  for (const Task& task : report.tasks) {
    header.push_back(column_name(task));
    if (task.metrics == TaskMetrics::kLastWord) header.push_back(task.name + " ppl");
  }
  header.insert(header.end(), {"mean", "kept", "flips", "seconds"});
  Table table(header);
  for (const EvalReport::Entry& entry : report.models) {
    std::vector<std::string> cells = {entry.path};
    double seconds = 0.0;
    for (const TaskResult& result : entry.tasks) {
      cells.push_back(percent(result.main()));
      if (result.perplexity)
        cells.push_back(with_error(result.perplexity->value, result.perplexity->standard_error, 3));
      seconds += result.seconds;
    }
    const Estimate mean = mean_of(entry.tasks);
    cells.push_back(percent(mean));
    const auto share = kept(report, mean);
    cells.push_back(share ? fmt::format("{:.1f} %", 100.0 * *share) : "-");
    const auto flipped = mean_flips(report, entry);
    cells.push_back(flipped ? fmt::format("{:.2f} %", 100.0 * *flipped) : "-");
    cells.push_back(fmt::format("{:.1f}", seconds));
    table.add(std::move(cells));
  }
  return table;
}

std::vector<std::string> task_csv_header(const EvalReport& report) {
  std::vector<std::string> header;
  const auto add = [&](const std::string& name) {
    header.push_back(name);
    header.push_back(name + "_stderr");
  };
  for (const Task& task : report.tasks) {
    add(task.name);
    if (task.metrics == TaskMetrics::kLastWord) add(task.name + "_ppl");
    header.push_back(task.name + "_flips");
    header.push_back(task.name + "_kind");
  }
  add("tasks_mean");
  header.insert(header.end(), {"tasks_kept", "tasks_flips"});
  return header;
}

std::vector<std::string> task_csv_cells(const EvalReport& report, const EvalReport::Entry& entry) {
  std::vector<std::string> cells;
  for (size_t t = 0; t < report.tasks.size(); ++t) {
    const TaskResult& result = entry.tasks[t];
    add_csv(cells, result.main());
    if (result.perplexity) add_csv(cells, *result.perplexity);
    cells.push_back(optional_cell(flips_of(report, entry, t)));
    cells.push_back(report.tasks[t].kind);
  }
  const Estimate mean = mean_of(entry.tasks);
  add_csv(cells, mean);
  cells.push_back(optional_cell(kept(report, mean)));
  cells.push_back(optional_cell(mean_flips(report, entry)));
  return cells;
}

std::string samples_jsonl(const EvalReport& report) {
  std::string lines;
  for (const EvalReport::Entry& entry : report.models)
    for (size_t t = 0; t < report.tasks.size(); ++t)
      for (size_t i = 0; i < report.tasks[t].items.size(); ++i) {
        Json line = {{"model", entry.path}};
        line.update(sample_json(report.tasks[t], entry.tasks[t], i));
        lines += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
      }
  return lines;
}

}  // namespace pare
