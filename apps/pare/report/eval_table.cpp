#include "report/eval_table.h"

#include "base/quantities.h"
#include "report/table.h"
#include "report/task_table.h"

namespace pare {
namespace {

double parameter_ratio(const EvalReport& report, const EvalReport::Entry& entry) {
  return static_cast<double>(entry.size.parameters) /
         static_cast<double>(report.models.front().size.parameters);
}

Json model_json(const EvalReport& report, const EvalReport::Entry& entry) {
  Json model = {{"path", entry.path}};
  if (entry.perplexity) {
    const PerplexityResult& r = *entry.perplexity;
    model.update({{"perplexity", r.perplexity()},
                  {"standard_error", optional_json(r.standard_error())},
                  {"nll", r.mean_nll()},
                  {"kl", r.kl},
                  {"kl_99", r.kl_99},
                  {"top1", r.top1}});
  }
  model.update({{"parameters", entry.size.parameters},
                {"parameter_ratio", parameter_ratio(report, entry)},
                {"bytes", entry.size.bytes}});
  if (entry.perplexity) model["seconds"] = entry.perplexity->seconds;
  if (!report.tasks.empty()) add_task_figures(model, report, entry);
  return model;
}

Table perplexity_table(const EvalReport& report) {
  Table table(
      {"model", "perplexity", "±", "KL", "KL 99 %", "top-1", "parameters", "ratio", "bytes", "seconds"});
  for (const EvalReport::Entry& entry : report.models) {
    const PerplexityResult& r = *entry.perplexity;
    table.add({entry.path, fmt::format("{:.3f}", r.perplexity()),
               r.standard_error() ? fmt::format("{:.3f}", *r.standard_error()) : "-",
               fmt::format("{:.5f}", r.kl), fmt::format("{:.5f}", r.kl_99),
               fmt::format("{:.2f} %", 100.0 * r.top1), format_count(entry.size.parameters),
               fmt::format("{:.4f}", parameter_ratio(report, entry)), format_bytes(entry.size.bytes),
               fmt::format("{:.1f}", r.seconds)});
  }
  return table;
}

std::string csv(const EvalReport& report) {
  std::vector<std::string> header = {"model"};
  if (report.text) header.insert(header.end(), {"perplexity", "perplexity_stderr", "kl", "kl_99", "top1"});
  header.insert(header.end(), {"parameters", "parameter_ratio", "bytes"});
  const auto task_header = report.tasks.empty() ? std::vector<std::string>() : task_csv_header(report);
  header.insert(header.end(), task_header.begin(), task_header.end());
  Table table(header);
  for (const EvalReport::Entry& entry : report.models) {
    std::vector<std::string> cells = {entry.path};
    const auto add = [&](auto value) { cells.push_back(fmt::format("{}", value)); };
    if (entry.perplexity) {
      add(entry.perplexity->perplexity());
      cells.push_back(optional_cell(entry.perplexity->standard_error()));
      add(entry.perplexity->kl);
      add(entry.perplexity->kl_99);
      add(entry.perplexity->top1);
    }
    add(entry.size.parameters);
    add(parameter_ratio(report, entry));
    add(entry.size.bytes);
    const auto task_cells = report.tasks.empty() ? std::vector<std::string>() : task_csv_cells(report, entry);
    cells.insert(cells.end(), task_cells.begin(), task_cells.end());
    table.add(std::move(cells));
  }
  return table.csv();
}

}  // namespace

Json optional_json(const std::optional<double>& figure) { return figure ? Json(*figure) : Json(); }

std::string optional_cell(const std::optional<double>& figure) {
  return figure ? fmt::format("{}", *figure) : "";
}

Json to_json(const EvalReport& report) {
  Json json = Json::object();
  if (report.text)
    json["text"] = {{"path", report.text->path},
                    {"sha256", report.text->sha256},
                    {"tokens", report.text->tokens},
                    {"windows", report.text->windows},
                    {"seqlen", report.text->seqlen}};
  if (!report.tasks.empty()) json["tasks"] = tasks_json(report);
  json["dtype"] = compute_type_name(report.compute);
  json["models"] = Json::array();
  for (const EvalReport::Entry& entry : report.models) json["models"].push_back(model_json(report, entry));
  return json;
}

std::string to_table(const EvalReport& report, TableFormat format) {
  if (format == TableFormat::kCsv) return csv(report);
  const auto part = [&](const std::string& summary, const Table& table) {
    return summary + (format == TableFormat::kMarkdown ? "\n" + table.markdown() : table.text());
  };
  std::string text;
  if (report.text)
    text = part(fmt::format("{} (sha256 {}): {} windows of {} tokens, {}\n", report.text->path,
                            report.text->sha256.substr(0, 12), report.text->windows, report.text->seqlen,
                            compute_type_name(report.compute)),
                perplexity_table(report));
  if (report.tasks.empty()) return text;
  return text + (text.empty() ? "" : "\n") + part(tasks_summary(report), task_table(report));
}

}  // namespace pare
