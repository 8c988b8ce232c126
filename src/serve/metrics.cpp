#include "serve/metrics.h"

#include <iterator>

namespace pare {
namespace {

// A label's value: backslash, quote and line break are escaped.
std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

// Builds the text, one metric after another.
class Writer {
 public:
  void begin(const char* name, const char* type, const char* help) {
    name_ = name;
    fmt::format_to(std::back_inserter(text_), "# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  }
  template <typename Value>
  void add(const std::string& labels, Value value) {
    fmt::format_to(std::back_inserter(text_), "{}{{{}}} {}\n", name_, labels, value);
  }
  template <typename Value>
  void add(Value value) {
    fmt::format_to(std::back_inserter(text_), "{} {}\n", name_, value);
  }
  std::string take() { return std::move(text_); }

 private:
  const char* name_ = "";
  std::string text_;
};

}  // namespace

void Metrics::count_sequence(size_t model, int64_t prompt, const Generation& generation) {
  Totals& totals = totals_[model];
  totals.prompt_tokens += prompt;
  totals.cached_tokens += prompt - generation.prompt_tokens;
  totals.generated_tokens += static_cast<int64_t>(generation.tokens.size());
  totals.prefill_seconds += generation.prefill_seconds;
  totals.decode_seconds += generation.decode_seconds;
  ++totals.ends[static_cast<size_t>(generation.finish)];
}

std::string Metrics::text(const std::vector<ServedModel>& models, const std::vector<ModelLoad>& loads,
                          int64_t at_work) const {
  Writer out;
  out.begin("pare_http_requests_total", "counter", "Requests answered, by place and status.");
  for (const auto& [key, count] : answers_)
    out.add(fmt::format("path=\"{}\",status=\"{}\"", escaped(key.first), key.second), count);
  out.begin("pare_requests_at_work", "gauge", "Requests that are read, run or written.");
  out.add(at_work);
  const auto each = [&](const char* name, const char* type, const char* help, auto value_of) {
    out.begin(name, type, help);
    for (size_t i = 0; i < models.size(); ++i) {
      const auto found = totals_.find(i);
      const Totals totals = found == totals_.end() ? Totals() : found->second;
      out.add(fmt::format("model=\"{}\"", escaped(models[i].id)), value_of(totals, loads[i]));
    }
  };
  using Load = ModelLoad;
  each("pare_sequences_running", "gauge", "Sequences that are being generated.",
       [](const Totals&, const Load& load) { return load.running; });
  each("pare_sequences_waiting", "gauge", "Sequences that wait for their turn.",
       [](const Totals&, const Load& load) { return load.waiting; });
  each("pare_kv_cache_usage_ratio", "gauge", "Share of the room for keys and values in use, 0 to 1.",
       [](const Totals&, const Load& load) { return load.fullness; });
  each("pare_prompt_tokens_total", "counter", "Tokens of prompts, those from the cache included.",
       [](const Totals& totals, const Load&) { return totals.prompt_tokens; });
  each("pare_prompt_tokens_cached_total", "counter", "Tokens of prompts that were in the cache.",
       [](const Totals& totals, const Load&) { return totals.cached_tokens; });
  each("pare_generated_tokens_total", "counter", "Tokens generated.",
       [](const Totals& totals, const Load&) { return totals.generated_tokens; });
  each("pare_prefill_seconds_total", "counter", "Seconds that sequences took up to their first token.",
       [](const Totals& totals, const Load&) { return totals.prefill_seconds; });
  each("pare_decode_seconds_total", "counter", "Seconds that sequences took behind their first token.",
       [](const Totals& totals, const Load&) { return totals.decode_seconds; });
  out.begin("pare_sequences_total", "counter", "Sequences that have ended, by the reason.");
  for (const auto& [model, totals] : totals_)
    for (size_t reason = 0; reason < totals.ends.size(); ++reason)
      out.add(fmt::format("model=\"{}\",finish_reason=\"{}\"", escaped(models[model].id),
                          finish_reason_name(static_cast<FinishReason>(reason))),
              totals.ends[reason]);
  return out.take();
}

}  // namespace pare
