// Rows of low-bit weights taken apart into codes, scales and minima: what kernels pack and what rounding
// chooses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensor/encoding.h"

namespace pare {

// The way from codes to values. In column j of block b of superblock s, a value is
//
//   value = factors[s] · scales[b] · levels[codes[j]] + minimum_factors[s] · minima[b]
//
// up to rounding of f32.
struct CodeLayout {
  int32_t bits = 0;                // bits of a code
  int32_t block = 0;               // columns that share a scale, and a minimum where there are minima
  int32_t superblock = 0;          // columns that share a factor; 0: the whole row
  const int8_t* levels = nullptr;  // (2^bits)
  // Range of the whole numbers that scales are; 1 and 1 where the factors alone are the scales.
  int32_t least_scale = 1;
  int32_t largest_scale = 1;
  // Range of the whole numbers that minima are, from 0 or 1 on; 0: no minima.
  int32_t largest_minimum = 0;
};

// Returns the layout; null for an encoding without codes in blocks: floats, int8, int4, tables.
const CodeLayout* code_layout(Encoding encoding);

// A row, or some whole superblocks of it, taken apart.
struct RowCodes {
  std::vector<uint8_t> codes;          // (cols)
  std::vector<int16_t> scales;         // (cols / block)
  std::vector<int16_t> minima;         // (cols / block); empty without minima
  std::vector<float> factors;          // (cols / superblock), or (1)
  std::vector<float> minimum_factors;  // as factors; empty without minima

  // Makes room for a row of `cols` values.
  void resize(const CodeLayout& layout, int64_t cols);
};

// Takes a row of an encoding with a layout apart.
void take_row_codes(Encoding encoding, const std::byte* source, int64_t cols, RowCodes& row);
// Puts a row together: the inverse of take_row_codes, to the bit. Factors are rounded to what the encoding
// stores (f16).
void put_row_codes(Encoding encoding, const RowCodes& row, std::byte* destination);

}  // namespace pare
