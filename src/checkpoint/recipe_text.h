// The recipe of pare.json in words, for cards and pages.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace pare {

// Returns a member of an object, null when it is not there: a manifest may come from any file.
const Json& manifest_member(const Json& object, const char* key);

// Writes a value on one line, long lists as their ends.
std::string manifest_value(const Json& value);

struct RecipePass {
  std::string method;
  Json options;  // an object
};
// Returns the passes of a recipe with their effective options, without the seed and the calibration.
std::vector<RecipePass> recipe_passes(const Json& recipe);

}  // namespace pare
