#include "compress/report.h"

namespace pare {
namespace {

constexpr const char* kChecks = "exact_checks";
constexpr const char* kFallbacks = "fallbacks";

}  // namespace

const std::vector<Json>& Report::of(const std::string& kind) const {
  static const std::vector<Json> kNone;
  const auto it = entries.find(kind);
  return it == entries.end() ? kNone : it->second;
}

double mean_relative_error(const std::vector<Json>& entries) {
  double error = 0.0;
  for (const Json& entry : entries) error += entry.at("relative_error").get<double>();
  return error / static_cast<double>(entries.size());
}

ReportMark mark(const Report& report) {
  ReportMark here{{}, report.checks.size(), report.fallbacks.size()};
  for (const auto& [kind, list] : report.entries) here.entries[kind] = list.size();
  return here;
}

Json entries_since(const Report& report, const ReportMark& begin) {
  Json lists = Json::object();
  for (const auto& [kind, list] : report.entries) {
    const auto first = begin.entries.find(kind);
    Json& added = lists[kind] = Json::array();
    for (size_t i = first == begin.entries.end() ? 0 : first->second; i < list.size(); ++i)
      added.push_back(list[i]);
  }
  Json& checks = lists[kChecks] = Json::array();
  for (size_t i = begin.checks; i < report.checks.size(); ++i)
    checks.push_back(
        {{"name", report.checks[i].name}, {"relative_difference", report.checks[i].relative_difference}});
  Json& fallbacks = lists[kFallbacks] = Json::array();
  for (size_t i = begin.fallbacks; i < report.fallbacks.size(); ++i) fallbacks.push_back(report.fallbacks[i]);
  return lists;
}

void add_entries(Report& report, const Json& entries) {
  for (const auto& [kind, list] : entries.items())
    for (const Json& entry : list) {
      if (kind == kChecks)
        report.checks.push_back(
            {entry.at("name").get<std::string>(), entry.at("relative_difference").get<double>()});
      else if (kind == kFallbacks)
        report.fallbacks.push_back(entry.get<std::string>());
      else
        report.add(kind, entry);
    }
}

Json Report::to_json() const {
  const auto size = [](const ModelSize& s) { return Json{{"parameters", s.parameters}, {"bytes", s.bytes}}; };
  Json json = {{"recipe", recipe}, {"before", size(before)}, {"after", size(after)}, {"linears", linears}};
  Json& bytes = json["before"]["bytes_by_role"] = Json::object();
  for (const RoleSize& role : before_by_role) bytes[std::string(role_name(role.role))] = role.bytes;
  json.update(entries_since(*this, {}));
  if (!earlier.empty()) json["earlier"] = earlier;
  return json;
}

}  // namespace pare
