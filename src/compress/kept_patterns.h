// N:M patterns that a model's linears follow, and passes that would undo them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "compress/pass.h"
#include "model/model.h"
#include "model/roles.h"

namespace pare {

// A linear of the blocks whose values follow an N:M pattern, however they are stored.
struct SparseLinear {
  int64_t block = 0;
  Role role = Role::kQuery;
  Pattern pattern;
};
std::vector<SparseLinear> sparse_linears(const Model& model);

// Numbers of linears of the blocks by the pattern that they follow: "2:4", "dense".
std::map<std::string, int64_t> linears_by_pattern(const Model& model);

// Throws kUsage naming two passes and a linear when the later one would undo the pattern that the earlier one
// makes.
void require_order(const Model& model, const Passes& passes);

// Returns the linears that follow a pattern and still do so after all passes.
std::vector<SparseLinear> kept_linears(const Model& model, const Passes& passes);

// Warns in the log of linears that follow a pattern before the passes and need not follow it afterwards.
void warn_of_lost_patterns(const Model& model, const Passes& passes);

}  // namespace pare
