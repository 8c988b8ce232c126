// What a compression did: recipe, widths, errors, sizes; written as pare.json and printed as a table.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/model.h"

namespace pare {

// Relative error of what a linear (or stream) hands on, measured on the calibration tokens.
struct LinearError {
  std::string name;  // "layers.3.down"
  int64_t width_before = 0;
  int64_t width_after = 0;
  double relative_error = 0.0;  // ‖Y − Y'‖² / ‖Y‖²
};

// What became of a linear that was made sparse.
struct SparsityEntry {
  std::string name;             // "layers.3.down"
  std::string pattern;          // "2:4"
  double kept_score = 0.0;      // share of the sum of the method's scores that stays
  double relative_error = 0.0;  // ‖Y − Y'‖² / ‖Y‖², Y what the linear should hand on
  // Standard deviation over groups of their channels' mean entropy, where entropies were measured and
  // shuffled.
  std::optional<double> entropy_spread_before = {};
  std::optional<double> entropy_spread_after = {};
};

// A check that an exact transformation left the function alone.
struct ExactCheck {
  std::string name;
  double relative_difference = 0.0;  // max |a − b| / max |a|
};

struct Report {
  Json recipe;
  std::vector<LinearError> errors;
  std::vector<SparsityEntry> sparsity;
  std::vector<ExactCheck> checks;
  std::vector<std::string> fallbacks;  // everything that did not go as planned: damping raised, …
  ModelSize before;
  ModelSize after;
  // How many linears of the blocks follow which pattern in what was written: "2:4", "dense".
  std::map<std::string, int64_t> linears;

  Json to_json() const;
};

// A place in a report's lists. What a step adds behind it is kept as JSON, for a run that goes on after the
// step.
struct ReportMark {
  size_t errors = 0;
  size_t sparsity = 0;
  size_t checks = 0;
  size_t fallbacks = 0;
};
ReportMark mark(const Report& report);
Json entries_since(const Report& report, const ReportMark& begin);
void add_entries(Report& report, const Json& entries);

}  // namespace pare
