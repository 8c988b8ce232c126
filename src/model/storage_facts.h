// Formats and bytes of a model's matrices, for commands and pages that show them.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model.h"

namespace pare {

struct MatrixFacts {
  Role role = Role::kEmbedding;
  int64_t block = -1;  // −1 outside blocks
  int64_t rows = 0;
  int64_t cols = 0;
  WeightFormat format;
  Pattern possible;  // pattern in which it could be stored
  int64_t zeros = 0;
  int64_t stored_values = 0;  // the kept ones of an N:M matrix
  int64_t bytes = 0;

  int64_t weights() const { return rows * cols; }
};

// Returns the facts of every matrix, in model order. Reads all values, and takes the pages of mapped ones out
// of memory again.
std::vector<MatrixFacts> matrix_facts(const Model& model);

// Size of all matrices of a role.
struct RoleSize {
  Role role = Role::kEmbedding;
  int64_t matrices = 0;
  int64_t weights = 0;  // rows · columns, zeros included
  int64_t bytes = 0;
};

// Returns the sizes of the roles that a model has matrices of, in the order of roles. Reads no values. A tied
// head is no matrix of its own.
std::vector<RoleSize> role_sizes(const Model& model);

// Returns bits for each of some values; 0 where there are none.
constexpr double bits_per_value(int64_t bytes, int64_t values) {
  return values == 0 ? 0.0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(values);
}

}  // namespace pare
