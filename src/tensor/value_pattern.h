// Tests whether the values of weights follow a pattern, whatever they were stored as.
#pragma once

#include <span>

#include "tensor/weight.h"

namespace pare {

// Returns whether of every `pattern.group` consecutive values of x[0..n), counted from the first, at most
// `pattern.kept` are not zero; fewer values than a group may stand at the end.
bool values_follow(const float* x, int64_t n, Pattern pattern);
// Returns whether all rows of all weights follow it. Stops at the first that does not: this takes almost no
// time for dense weights, one pass over the others.
bool values_follow(std::span<const Weight> stack, Pattern pattern);

}  // namespace pare
