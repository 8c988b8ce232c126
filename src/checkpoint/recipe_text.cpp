#include "checkpoint/recipe_text.h"

#include <algorithm>

namespace pare {
namespace {

RecipePass pass_of(const Json& recipe) {
  RecipePass pass{manifest_value(manifest_member(recipe, "method")), Json::object()};
  if (recipe.is_object())
    for (const auto& [key, value] : recipe.items())
      if (key != "method" && key != "options" && key != "calibration" && key != "training" && key != "seed")
        pass.options[key] = value;
  if (const Json& own = manifest_member(recipe, "options"); own.is_object()) pass.options.update(own);
  return pass;
}

}  // namespace

const Json& manifest_member(const Json& object, const char* key) {
  static const Json kNone;
  const auto it = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && it != object.end() ? *it : kNone;
}

std::string manifest_value(const Json& value) {
  constexpr size_t kShown = 12;
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array() && value.size() > kShown)
    return fmt::format("{} values, {} to {}", value.size(),
                       std::min_element(value.begin(), value.end())->dump(),
                       std::max_element(value.begin(), value.end())->dump());
  if (!value.is_array()) return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string text;
  for (const Json& element : value)
    text += fmt::format("{}{}", text.empty() ? "" : " ",
                        element.is_string() ? element.get<std::string>() : element.dump());
  return text.empty() ? "none" : text;
}

std::vector<Json> manifest_runs(const Json& manifest) {
  std::vector<Json> runs;
  if (const Json& earlier = manifest_member(manifest, "earlier"); earlier.is_array())
    for (const Json& run : earlier)
      if (run.is_object()) runs.push_back(run);
  Json own = Json::object();
  for (const char* key : {"recipe", "before", "after"})
    if (const Json& value = manifest_member(manifest, key); !value.is_null()) own[key] = value;
  runs.push_back(std::move(own));
  return runs;
}

std::vector<RecipePass> manifest_passes(const Json& manifest) {
  std::vector<RecipePass> list;
  for (const Json& run : manifest_runs(manifest)) {
    const Json& recipe = manifest_member(run, "recipe");
    const Json& passes = manifest_member(recipe, "passes");
    if (passes.is_array())
      for (const Json& pass : passes) list.push_back(pass_of(pass));
    else
      list.push_back(pass_of(recipe));
  }
  return list;
}

}  // namespace pare
