#include "page/recipe_section.h"

#include "base/quantities.h"

namespace pare {

void add_recipe(Markup& page, const ModelFacts& facts) {
  page.element("h3", "Recipe");
  if (!facts.has_manifest) {
    page.element("p", "The model has no pare.json: no pass of pare has made it, or it is not kept.");
    return;
  }
  for (const RecipePass& pass : facts.passes) {
    page.element("h4", pass.method);
    std::vector<std::vector<std::string>> rows;
    for (const auto& [key, value] : pass.options.items()) rows.push_back({key, manifest_value(value)});
    if (!rows.empty()) add_table(page, {"option", "value"}, rows, Cells::kWords);
  }
  page.element("h4", "Calibration");
  std::vector<std::vector<std::string>> rows;
  for (const auto& [key, value] : facts.calibration) rows.push_back({key, value});
  if (!facts.seed.empty()) rows.push_back({"seed", facts.seed});
  if (rows.empty())
    page.element("p", "pare.json does not say what calibrated it.");
  else
    add_table(page, {"of the calibration", "value"}, rows, Cells::kWords);
  if (facts.parameters_before && facts.bytes_before)
    page.element("p", fmt::format("Made of a model of {} parameters in {}.",
                                  format_count(*facts.parameters_before), format_bytes(*facts.bytes_before)));
  if (facts.fallbacks.empty()) return;
  page.element("p", fmt::format("{} steps did not go as planned:", facts.fallbacks.size()));
  page.open("ul");
  for (const std::string& fallback : facts.fallbacks) page.element("li", fallback);
  page.close();
}

}  // namespace pare
