// What `pare eval` found, as JSON or as a table.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "eval/perplexity.h"
#include "kernels/linear.h"
#include "model/model.h"

namespace pare {

struct EvalReport {
  struct Entry {
    std::string path;
    ModelSize size;
    PerplexityResult result;
  };
  std::string text_path;
  std::string text_sha256;
  int64_t tokens = 0;
  int64_t windows = 0;
  int64_t seqlen = 0;
  ComputeType compute = ComputeType::kF32;
  std::vector<Entry> models;  // the first is the baseline
};

Json to_json(const EvalReport& report);
// For people: aligned columns, or a Markdown table.
std::string to_table(const EvalReport& report, bool markdown);

}  // namespace pare
