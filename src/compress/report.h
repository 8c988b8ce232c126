// Report of a compression: recipe, errors, sizes; written as pare.json and printed as a table.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/model.h"
#include "model/storage_facts.h"

namespace pare {

// A check that an exact transformation left the function alone.
struct ExactCheck {
  std::string name;
  double relative_difference = 0.0;  // max |a − b| / max |a|
};

struct Report {
  Json recipe;
  std::vector<Json> earlier;  // runs that made the input, the first one first (manifest_runs)
  // Entries of passes on each linear or stream, by the kind of the entry ("sparsity"). An entry has a "name",
  // and a "relative_error" where its outputs were measured: ‖Y − Y'‖² / ‖Y‖² on the calibration tokens.
  std::map<std::string, std::vector<Json>> entries;
  std::vector<ExactCheck> checks;
  std::vector<std::string> fallbacks;  // everything that did not go as planned: damping raised, …
  ModelSize before;
  ModelSize after;
  std::vector<RoleSize> before_by_role;
  // Numbers of linears of the blocks by the pattern that they follow in the written model: "2:4", "dense".
  std::map<std::string, int64_t> linears;

  void add(const std::string& kind, Json entry) { entries[kind].push_back(std::move(entry)); }
  // The entries of a kind, in the order in which they were added.
  const std::vector<Json>& of(const std::string& kind) const;
  // Returns the report as JSON. Lists of entries are members named after their kinds.
  Json to_json() const;
};

// Returns the mean of "relative_error" of entries, of which there is at least one.
double mean_relative_error(const std::vector<Json>& entries);

// A place in a report's lists. Entries added behind it are kept as JSON, for a run that continues after the
// step.
struct ReportMark {
  std::map<std::string, size_t> entries;
  size_t checks = 0;
  size_t fallbacks = 0;
};
ReportMark mark(const Report& report);
Json entries_since(const Report& report, const ReportMark& begin);
void add_entries(Report& report, const Json& entries);

}  // namespace pare
