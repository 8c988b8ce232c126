// Storage of a matrix as one value: its pattern, its encoding, and which values share a scale.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tensor/encoding.h"
#include "tensor/pattern.h"

namespace pare {

// A format: "bf16", "int8", "2:4-int4-g32", "int4-g128-bf16". Codes (int8, int4) have scales, one for every
// `group` columns of a row, counted before the pattern leaves any out; nothing else has scales.
struct WeightFormat {
  Pattern pattern;
  Encoding encoding = Encoding::kF32;
  int32_t group = 0;                     // columns that share a scale; 0: the whole row
  bool zero_points = false;              // true: a zero point stands beside each scale
  Encoding scale_type = Encoding::kF32;  // type of the scales: f32, of int4 also f16 or bf16

  constexpr WeightFormat() = default;
  // Makes a dense format; of codes, with one scale a row.
  constexpr WeightFormat(Encoding of) : encoding(of) {}
  constexpr WeightFormat(Pattern values, Encoding of, int32_t columns = 0, bool zeros = false)
      : pattern(values), encoding(of), group(columns), zero_points(zeros) {}

  // Returns the format with another pattern.
  constexpr WeightFormat in(Pattern other) const {
    WeightFormat result = *this;
    result.pattern = other;
    return result;
  }
  friend constexpr bool operator==(const WeightFormat&, const WeightFormat&) = default;
};

// Columns that may share a scale, beside whole rows.
inline constexpr int32_t kScaleGroups[] = {32, 64, 128};

// Writes "N:M-" unless it is dense, the encoding, "-gGROUP" unless the group is a row, "-z" with zero points,
// "-f16" or "-bf16" where scales are that.
std::string format_name(const WeightFormat& format);
// Reads what format_name writes. Throws kUsage naming the text.
WeightFormat parse_format(std::string_view text);

// Number of scales of a row of `cols` values; 0 of an encoding without scales.
int64_t scales_of_row(const WeightFormat& format, int64_t cols);
// Says why rows of `cols` values cannot have the format, as in "cannot be 2:4: its rows of 7 values do not
// divide into groups of 4"; empty when they can.
std::string misfit(const WeightFormat& format, int64_t cols);

}  // namespace pare
