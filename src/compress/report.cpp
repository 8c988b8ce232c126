#include "compress/report.h"

namespace pare {

Json Report::to_json() const {
  Json error_list = Json::array();
  for (const LinearError& e : errors)
    error_list.push_back({{"name", e.name},
                          {"width_before", e.width_before},
                          {"width_after", e.width_after},
                          {"relative_error", e.relative_error}});
  Json check_list = Json::array();
  for (const ExactCheck& c : checks)
    check_list.push_back({{"name", c.name}, {"relative_difference", c.relative_difference}});
  const auto size = [](const ModelSize& s) { return Json{{"parameters", s.parameters}, {"bytes", s.bytes}}; };
  return {{"recipe", recipe},     {"before", size(before)},     {"after", size(after)},
          {"errors", error_list}, {"exact_checks", check_list}, {"fallbacks", fallbacks}};
}

}  // namespace pare
