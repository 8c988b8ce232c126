// The linears of a stage: their names, and which of them read the same signal.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "model/visit.h"
#include "runtime/forward.h"

namespace pare {

// Returns the name of a linear: "layers.3.down"; "embedding" or "head" of one that belongs to no block (-1).
std::string linear_name(int64_t block, Role role);

// Linears that read the same signal.
struct InputGroup {
  Signal signal = Signal::kNormed;
  std::vector<Role> roles;
  int64_t width = 0;  // columns of the signal
};

// The signal that a linear of the blocks reads.
constexpr Signal signal_read_by(Role role) {
  if (reads_residual(role)) return Signal::kNormed;
  return role == Role::kAttentionOutput ? Signal::kValueStream : Signal::kHiddenStream;
}

// All linears of a stage, by the signals that they read.
std::vector<InputGroup> input_groups(const Stage& stage);

// Columns of the widest input of a linear.
int64_t widest_input(const Model& model);

}  // namespace pare
