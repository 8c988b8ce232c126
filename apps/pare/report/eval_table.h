// Results of `pare eval`, as JSON or as tables.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "eval/multiple_choice.h"
#include "eval/perplexity.h"
#include "kernels/linear.h"
#include "model/model.h"

namespace pare {

struct EvalReport {
  struct Text {
    std::string path;
    std::string sha256;
    int64_t tokens = 0;
    int64_t windows = 0;
    int64_t seqlen = 0;
  };
  struct Entry {
    std::string path;
    ModelSize size;
    std::optional<PerplexityResult> perplexity;  // set where there is a text
    std::vector<TaskResult> tasks;               // by task
  };
  std::optional<Text> text;
  std::vector<Task> tasks;
  ComputeType compute = ComputeType::kF32;
  std::vector<Entry> models;  // the first is the baseline
};

// A figure as JSON; null where it is not known.
Json optional_json(const std::optional<double>& figure);
// A figure as a cell of CSV; empty where it is not known.
std::string optional_cell(const std::optional<double>& figure);

enum class TableFormat { kText, kMarkdown, kCsv };

Json to_json(const EvalReport& report);
// Writes tables for people, one of the text and one of the tasks, each under lines that say what it shows.
// As CSV it is one table of plain numbers.
std::string to_table(const EvalReport& report, TableFormat format);

}  // namespace pare
