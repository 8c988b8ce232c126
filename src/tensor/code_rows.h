// Rows of low-bit weights as codes and scales of one of a few shapes, for kernels that compute from them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "tensor/block_codes.h"
#include "tensor/code_shape.h"
#include "tensor/weight.h"

namespace pare {

// The way from codes of a weight to its values.
struct CodeFormat {
  CodeShape shape;
  std::array<int8_t, 64> levels = {};  // levels of all codes, repeated; of 8 bits none: code c means c − 128

  friend bool operator==(const CodeFormat&, const CodeFormat&) = default;
};

// Returns the format of a weight that kernels compute from: encodings that have a code_layout(), int4 codes,
// int8 codes whose columns are in groups. Nothing for others, and for N:M weights with zero points.
std::optional<CodeFormat> code_format(const Weight& weight);

// Takes apart row r of weights on top of each other, all of one code format. Returns a factor of the row: the
// value of column k in part p = k / part is that of decode_row but for the rounding of f32,
//   factor · (factors[s] · scales[p] · level + minimum_factors[s] · minima[p]),
// s = p for ScaleForm::kHalf, whose scales and minima are 1; s = k / 256 for kSuper; and s = 0 for kRow,
// whose factors[0] is 1. Of encodings in blocks, factors are halves.
float take_codes(std::span<const Weight> stack, int64_t r, RowCodes& row);

}  // namespace pare
