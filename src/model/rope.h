// Rotary position embedding: frequencies and the cos/sin tables of a range of positions.
#pragma once

#include <span>
#include <vector>

#include "model/config.h"
#include "tensor/matrix.h"

namespace pare {

// Angle per position of each rotated pair of a head's first rotary_dim values, (rotary_dim / 2), with the
// configured scaling applied.
std::vector<double> rope_frequencies(const RopeConfig& rope, int64_t rotary_dim);

// cos and sin of the angles of every row's position: both (rows, rotary_dim / 2).
struct RopeTable {
  Matrix<float> cos;
  Matrix<float> sin;
};
RopeTable make_rope_table(const RopeConfig& rope, int64_t rotary_dim, std::span<const int64_t> positions);

}  // namespace pare
