// Weights of random codes and scales in every low-bit format.
#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "base/rng.h"
#include "tensor/block_codes.h"
#include "tensor/weight.h"

namespace pare::test {

inline constexpr Encoding kBlockEncodings[] = {
    Encoding::kQ8_0,   Encoding::kQ4_0,  Encoding::kQ4_1,   Encoding::kQ5_0, Encoding::kQ5_1,
    Encoding::kIQ4_NL, Encoding::kMXFP4, Encoding::kQ2_K,   Encoding::kQ3_K, Encoding::kQ4_K,
    Encoding::kQ5_K,   Encoding::kQ6_K,  Encoding::kIQ4_XS, Encoding::kQ4N,  Encoding::kQ3N};

// Random codes and whole numbers in blocks. Factors are of both signs, and zero here and there; those of
// MXFP4 are powers of two.
inline Weight random_blocks(Encoding encoding, int64_t rows, int64_t cols, uint64_t seed) {
  Rng rng(seed);
  const int64_t stride = row_bytes(encoding, cols);
  auto bytes = std::make_shared<std::vector<std::byte>>(static_cast<size_t>(rows * stride));
  for (std::byte& b : *bytes) b = static_cast<std::byte>(rng.below(256));
  RowCodes row;
  for (int64_t r = 0; r < rows; ++r) {
    std::byte* at = bytes->data() + r * stride;
    take_row_codes(encoding, at, cols, row);
    for (std::vector<float>* factors : {&row.factors, &row.minimum_factors})
      for (float& factor : *factors)
        if (encoding == Encoding::kMXFP4)
          factor = std::ldexp(1.0f, -2 - static_cast<int>(rng.below(8)));
        else
          factor = rng.below(16) == 0 ? 0.0f : static_cast<float>(0.02 * rng.normal());
    put_row_codes(encoding, row, at);
  }
  return {encoding, rows, cols, bytes->data(), bytes};
}

// Random int4 or int8 codes of one scale for every `group` columns, with or without zero points.
inline Weight random_codes(Encoding encoding, int32_t group, bool zero_points, int64_t rows, int64_t cols,
                           uint64_t seed) {
  Rng rng(seed);
  Weight weight;
  weight.format = {kDense, encoding, group, zero_points};
  weight.rows = rows;
  weight.cols = cols;
  const auto values = static_cast<size_t>(rows * row_bytes(encoding, cols));
  const auto scales = static_cast<size_t>(rows * weight.groups());
  auto bytes = std::make_shared<std::vector<std::byte>>(values + scales * (sizeof(float) + 1));
  for (std::byte& b : *bytes) b = static_cast<std::byte>(rng.below(256));
  for (size_t i = 0; i < scales; ++i) {
    const float value = rng.below(16) == 0 ? 0.0f : static_cast<float>(0.02 * rng.uniform());
    std::memcpy(bytes->data() + values + i * sizeof(float), &value, sizeof(value));
    (*bytes)[values + scales * sizeof(float) + i] = static_cast<std::byte>(rng.below(16));
  }
  weight.data = bytes->data();
  weight.scales = bytes->data() + values;
  if (zero_points) weight.zero_points = bytes->data() + values + scales * sizeof(float);
  weight.owner = bytes;
  return weight;
}

// Weights of every low-bit format. Rows have `columns` values where blocks of 32 divide them, 512 where
// blocks have 256.
inline std::vector<Weight> low_bit_weights(int64_t rows, int64_t columns, uint64_t seed) {
  std::vector<Weight> weights;
  for (const Encoding encoding : kBlockEncodings)
    weights.push_back(
        random_blocks(encoding, rows, encoding_info(encoding).block_values == 256 ? 512 : columns, seed++));
  for (const bool zero_points : {false, true})
    for (const int32_t group : {0, 32, 96}) {
      if (group != 0 && columns % group != 0) continue;
      weights.push_back(random_codes(Encoding::kInt4, group, zero_points, rows, columns, seed++));
      if (group != 0 && !zero_points)
        weights.push_back(random_codes(Encoding::kInt8, group, false, rows, columns, seed++));
    }
  return weights;
}

}  // namespace pare::test
