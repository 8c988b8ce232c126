#include "compress/report.h"

namespace pare {

ReportMark mark(const Report& report) {
  return {report.errors.size(), report.sparsity.size(), report.checks.size(), report.fallbacks.size()};
}

Json entries_since(const Report& report, const ReportMark& begin) {
  Json errors = Json::array();
  for (size_t i = begin.errors; i < report.errors.size(); ++i) {
    const LinearError& e = report.errors[i];
    errors.push_back({{"name", e.name},
                      {"width_before", e.width_before},
                      {"width_after", e.width_after},
                      {"relative_error", e.relative_error}});
  }
  Json sparsity = Json::array();
  for (size_t i = begin.sparsity; i < report.sparsity.size(); ++i) {
    const SparsityEntry& s = report.sparsity[i];
    sparsity.push_back({{"name", s.name},
                        {"pattern", s.pattern},
                        {"kept_score", s.kept_score},
                        {"relative_error", s.relative_error}});
    if (s.entropy_spread_before) sparsity.back()["entropy_spread_before"] = *s.entropy_spread_before;
    if (s.entropy_spread_after) sparsity.back()["entropy_spread_after"] = *s.entropy_spread_after;
  }
  Json checks = Json::array();
  for (size_t i = begin.checks; i < report.checks.size(); ++i)
    checks.push_back(
        {{"name", report.checks[i].name}, {"relative_difference", report.checks[i].relative_difference}});
  Json fallbacks = Json::array();
  for (size_t i = begin.fallbacks; i < report.fallbacks.size(); ++i) fallbacks.push_back(report.fallbacks[i]);
  return {{"errors", errors}, {"sparsity", sparsity}, {"exact_checks", checks}, {"fallbacks", fallbacks}};
}

void add_entries(Report& report, const Json& entries) {
  for (const Json& e : entries.at("errors"))
    report.errors.push_back({e.at("name").get<std::string>(), e.at("width_before").get<int64_t>(),
                             e.at("width_after").get<int64_t>(), e.at("relative_error").get<double>()});
  for (const Json& s : entries.at("sparsity")) {
    report.sparsity.push_back({s.at("name").get<std::string>(), s.at("pattern").get<std::string>(),
                               s.at("kept_score").get<double>(), s.at("relative_error").get<double>()});
    const auto optional = [&](const char* key) {
      return s.contains(key) ? std::optional<double>(s.at(key).get<double>()) : std::nullopt;
    };
    report.sparsity.back().entropy_spread_before = optional("entropy_spread_before");
    report.sparsity.back().entropy_spread_after = optional("entropy_spread_after");
  }
  for (const Json& c : entries.at("exact_checks"))
    report.checks.push_back({c.at("name").get<std::string>(), c.at("relative_difference").get<double>()});
  for (const Json& f : entries.at("fallbacks")) report.fallbacks.push_back(f.get<std::string>());
}

Json Report::to_json() const {
  const auto size = [](const ModelSize& s) { return Json{{"parameters", s.parameters}, {"bytes", s.bytes}}; };
  Json json = {{"recipe", recipe}, {"before", size(before)}, {"after", size(after)}, {"linears", linears}};
  json.update(entries_since(*this, {}));
  return json;
}

}  // namespace pare
