#include "eval_table.h"

#include "options.h"
#include "table.h"

namespace pare {
namespace {

double parameter_ratio(const EvalReport& report, const EvalReport::Entry& entry) {
  return static_cast<double>(entry.size.parameters) /
         static_cast<double>(report.models.front().size.parameters);
}

}  // namespace

Json to_json(const EvalReport& report) {
  Json models = Json::array();
  for (const EvalReport::Entry& entry : report.models) {
    const PerplexityResult& r = entry.result;
    models.push_back({{"path", entry.path},
                      {"perplexity", r.perplexity()},
                      {"standard_error", r.standard_error()},
                      {"nll", r.mean_nll()},
                      {"kl", r.kl},
                      {"top1", r.top1},
                      {"parameters", entry.size.parameters},
                      {"parameter_ratio", parameter_ratio(report, entry)},
                      {"bytes", entry.size.bytes},
                      {"seconds", r.seconds}});
  }
  return {{"text",
           {{"path", report.text_path},
            {"sha256", report.text_sha256},
            {"tokens", report.tokens},
            {"windows", report.windows},
            {"seqlen", report.seqlen}}},
          {"dtype", compute_type_name(report.compute)},
          {"models", models}};
}

std::string to_table(const EvalReport& report, bool markdown) {
  Table table({"model", "perplexity", "±", "KL", "top-1", "parameters", "ratio", "bytes", "seconds"});
  for (const EvalReport::Entry& entry : report.models) {
    const PerplexityResult& r = entry.result;
    table.add({entry.path, fmt::format("{:.3f}", r.perplexity()), fmt::format("{:.3f}", r.standard_error()),
               fmt::format("{:.5f}", r.kl), fmt::format("{:.2f} %", 100.0 * r.top1),
               format_count(entry.size.parameters), fmt::format("{:.4f}", parameter_ratio(report, entry)),
               format_bytes(entry.size.bytes), fmt::format("{:.1f}", r.seconds)});
  }
  const std::string summary = fmt::format("{} (sha256 {}): {} windows of {} tokens, {}\n", report.text_path,
                                          report.text_sha256.substr(0, 12), report.windows, report.seqlen,
                                          compute_type_name(report.compute));
  return summary + (markdown ? "\n" + table.markdown() : table.text());
}

}  // namespace pare
