// The zero-shot part of what `pare eval` found.
#pragma once

#include <string>
#include <vector>

#include "report/eval_table.h"
#include "report/table.h"

namespace pare {

// Describes the tasks: a line each, or JSON.
std::string tasks_summary(const EvalReport& report);
Json tasks_json(const EvalReport& report);

// Adds all figures of a model, by the task's name, the mean over tasks and the share of the first model's
// mean to `model`.
void add_task_figures(Json& model, const EvalReport& report, const EvalReport::Entry& entry);

// Writes 100 times an estimate: "62.50 ± 1.20".
std::string percent(const Estimate& estimate);

// Makes a table of models in rows; tasks, their mean and the share of the first model's in columns.
Table task_table(const EvalReport& report);
// Results of tasks as plain numbers and the kinds, to be joined to other columns: the header, and the
// cells of a model.
std::vector<std::string> task_csv_header(const EvalReport& report);
std::vector<std::string> task_csv_cells(const EvalReport& report, const EvalReport::Entry& entry);

// Writes a line an item of a task and model: log-likelihoods of the choices, the chosen and the right one.
std::string samples_jsonl(const EvalReport& report);

}  // namespace pare
