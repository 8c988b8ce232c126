// Rotary position embedding: frequencies and the cos/sin tables of a range of positions.
#pragma once

#include <span>
#include <vector>

#include "kernels/backend.h"
#include "model/config.h"

namespace pare {

// Angle per position of each rotated pair of a head's first rotary_dim values, (rotary_dim / 2), with the
// configured scaling applied. `room`: how many tokens the sequence may grow to. Scaling whose frequencies
// depend on the length ("longrope") goes by it, so that all keys of a sequence are rotated alike.
std::vector<double> rope_frequencies(const RopeConfig& rope, int64_t rotary_dim, int64_t room);

// Factor by which transformers multiplies queries and keys where a "yarn" scaling by `factor` names no
// attention_factor: 1 + 0.1·mscale·ln(factor) (YaRN, Peng et al. 2023, equation 22).
double yarn_attention_factor(double factor, double mscale = 1.0);

// Consecutive tokens of a sequence.
struct RopeRange {
  int64_t first = 0;  // position of the first token
  int64_t tokens = 0;
  int64_t room = 0;  // tokens that the sequence may grow to
};
// The table of one range of positions after another, for a backend: cos and sin times the attention factor,
// both (rows, rotary_dim / 2).
RotaryTable make_rope_table(const RopeConfig& rope, int64_t rotary_dim, std::span<const RopeRange> ranges,
                            const Backend& backend = default_backend());

// Returns positions 0 to length − 1, once for each sequence.
std::vector<int64_t> sequence_positions(int64_t sequences, int64_t length);
// Makes the table of sequence_positions(sequences, length).
RotaryTable sequence_rope(const ModelConfig& config, int64_t sequences, int64_t length,
                          const Backend& backend = default_backend());

}  // namespace pare
