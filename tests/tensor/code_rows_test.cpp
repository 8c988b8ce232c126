#include "tensor/code_rows.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/low_bit_weight.h"
#include "tensor/sparse_weight.h"

namespace pare::test {
namespace {

// The value of column k that a row's parts stand for.
double value_of(const CodeFormat& format, float factor, const RowCodes& row, int64_t k) {
  const auto part = static_cast<size_t>(k / format.shape.part);
  const size_t of_part = format.shape.form == ScaleForm::kHalf    ? part
                         : format.shape.form == ScaleForm::kSuper ? static_cast<size_t>(k / kSuperColumns)
                                                                  : 0;
  const int code = row.codes[static_cast<size_t>(k)];
  const double level = format.shape.bits == 8 ? code - 128 : format.levels[static_cast<size_t>(code)];
  double value = static_cast<double>(row.factors[of_part]) * row.scales[part] * level;
  if (format.shape.minima) value += static_cast<double>(row.minimum_factors[of_part]) * row.minima[part];
  return static_cast<double>(factor) * value;
}

void expect_values(const Weight& weight) {
  SCOPED_TRACE(format_name(weight.format));
  const std::optional<CodeFormat> format = code_format(weight);
  ASSERT_TRUE(format.has_value());
  RowCodes row;
  std::vector<float> values(static_cast<size_t>(weight.cols));
  for (int64_t r = 0; r < weight.rows; ++r) {
    const float factor = take_codes(std::span(&weight, 1), r, row);
    decode_row(weight, r, values.data());
    ASSERT_EQ(static_cast<int64_t>(row.codes.size()), weight.cols);
    ASSERT_EQ(row.minima.empty(), !format->shape.minima);
    double largest = 0.0;
    for (const float value : values) largest = std::max(largest, std::fabs(static_cast<double>(value)));
    for (int64_t k = 0; k < weight.cols; ++k)
      // A few roundings of f32: of products and sums.
      ASSERT_NEAR(value_of(*format, factor, row, k), values[static_cast<size_t>(k)], 0x1p-21 * largest)
          << "row " << r << " column " << k;
    for (const float half : row.factors) EXPECT_LE(std::fabs(half), 65504.0f);
    if (format->shape.form != ScaleForm::kRow) continue;
    EXPECT_EQ(row.factors, std::vector<float>{1.0f});
  }
}

TEST(CodeRows, StandForTheValuesOfEveryFormat) {
  for (const Weight& weight : low_bit_weights(5, 192, 1)) expect_values(weight);
}

TEST(CodeRows, KeepTheZerosOfAPattern) {
  Rng rng(9);
  Matrix<float> values(4, 64);
  for (int64_t i = 0; i < values.size(); ++i)
    values.data()[i] = i % 4 < 2 ? static_cast<float>(rng.normal()) : 0.0f;
  for (const Encoding encoding : {Encoding::kInt4, Encoding::kInt8})
    expect_values(to_format(Weight::from_matrix(std::as_const(values).view()), {k2of4, encoding, 32}, "w"));
}

TEST(CodeRows, TakeScalesOf16Bits) {
  Rng rng(13);
  Matrix<float> values(3, 128);
  for (int64_t i = 0; i < values.size(); ++i) values.data()[i] = static_cast<float>(rng.normal());
  for (const char* format : {"int4-g32-bf16", "int4-g64-f16"})
    expect_values(Weight::from_matrix(std::as_const(values).view(), parse_format(format)));
}

TEST(CodeRows, ScalesBeyondHalvesMoveIntoTheFactor) {
  for (const float scale : {1e-20f, 1e20f}) {
    Weight weight = random_codes(Encoding::kInt4, 32, true, 1, 64, 3);
    const float scales[] = {scale, 0.75f * scale};
    weight.scales = reinterpret_cast<const std::byte*>(scales);
    expect_values(weight);
  }
}

TEST(CodeRows, OthersHaveNone) {
  Matrix<float> ones(2, 64);
  std::fill_n(ones.data(), ones.size(), 1.0f);
  for (const WeightFormat format :
       {WeightFormat(Encoding::kF32), WeightFormat(Encoding::kBF16), WeightFormat(Encoding::kInt8)})
    EXPECT_FALSE(code_format(Weight::from_matrix(std::as_const(ones).view(), format)).has_value());
}

TEST(CodeRows, AreThoseOfARowOfAStack) {
  const std::vector<Weight> stack = {random_blocks(Encoding::kQ4_0, 3, 64, 1),
                                     random_blocks(Encoding::kQ4_0, 2, 64, 2)};
  RowCodes of_stack;
  RowCodes alone;
  take_codes(stack, 4, of_stack);
  take_codes(std::span(&stack[1], 1), 1, alone);
  EXPECT_EQ(of_stack.codes, alone.codes);
  EXPECT_EQ(of_stack.factors, alone.factors);
}

}  // namespace
}  // namespace pare::test
