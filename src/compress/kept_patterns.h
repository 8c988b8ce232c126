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

// How many linears of the blocks follow which pattern: "2:4", "dense".
std::map<std::string, int64_t> linears_by_pattern(const Model& model);

// Throws kUsage naming two passes and a linear when the later one would undo the pattern that the earlier one
// makes.
void require_order(const Model& model, const Passes& passes);

// The linears that follow a pattern and go on doing so behind all passes.
std::vector<SparseLinear> kept_linears(const Model& model, const Passes& passes);

// Says in the log which linears follow a pattern before the passes that they need not follow afterwards.
void warn_of_lost_patterns(const Model& model, const Passes& passes);

}  // namespace pare
