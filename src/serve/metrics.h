// Counters of a server, for monitoring.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serve/model_thread.h"
#include "serve/served_model.h"

namespace pare {

class Metrics {
 public:
  void count_answer(std::string_view path, int status) { ++answers_[{std::string(path), status}]; }
  // Counts a sequence of a model that has ended; `prompt`: its tokens, those from the cache included.
  void count_sequence(size_t model, int64_t prompt, const Generation& generation);

  // Returns the text that Prometheus reads. `loads`: by model; empty while the models load. `at_work`:
  // requests that are read, run or written.
  std::string text(const std::vector<ServedModel>& models, const std::vector<ModelLoad>& loads,
                   int64_t at_work) const;

 private:
  struct Totals {
    int64_t prompt_tokens = 0;
    int64_t cached_tokens = 0;
    int64_t generated_tokens = 0;
    double prefill_seconds = 0.0;
    double decode_seconds = 0.0;
    std::array<int64_t, 4> ends = {};  // by FinishReason
  };

  std::map<std::pair<std::string, int>, int64_t> answers_;  // by path and status
  std::map<size_t, Totals> totals_;                         // by model
};

}  // namespace pare
