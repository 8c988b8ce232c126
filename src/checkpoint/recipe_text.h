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
// Returns the runs that a manifest tells of, the first one first: those of its "earlier", and its own. Each
// is an object, with the recipe under "recipe".
std::vector<Json> manifest_runs(const Json& manifest);
// Returns the passes of all runs with their effective options, without seeds and calibrations.
std::vector<RecipePass> manifest_passes(const Json& manifest);

}  // namespace pare
