#include "tensor/int8_row.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/rng.h"
#include "tensor/sparse_weight.h"

namespace pare {
namespace {

TEST(Int8Row, RoundsToNearestEvenAndKeepsTheLargestExact) {
  const float x[] = {-254.0f, 1.0f, 3.0f, 2.0f, 0.0f, 100.9f};
  float rounded[6];
  EXPECT_EQ(round_to_int8(x, 6, rounded), 2.0f);
  const float expected[] = {-127.0f, 0.0f, 2.0f, 1.0f, 0.0f, 50.0f};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(rounded[i], expected[i]) << i;
}

TEST(Int8Row, ZerosHaveNoScale) {
  const float x[] = {0.0f, -0.0f};
  float rounded[2];
  EXPECT_EQ(round_to_int8(x, 2, rounded), 0.0f);
  EXPECT_EQ(rounded[0], 0.0f);
  EXPECT_EQ(rounded[1], 0.0f);
}

// Tiny rows whose inverse scale would overflow still come back within half a step.
TEST(Int8Row, TinyValues) {
  const float x[] = {0x1p-130f, -0x1p-131f};
  float rounded[2];
  const float scale = round_to_int8(x, 2, rounded);
  for (int i = 0; i < 2; ++i) EXPECT_NEAR(rounded[i] * scale, x[i], 0x1p-130f / 254 + 0x1p-149f);
}

// A row that was made by rounding is found again by rounding its values: scale and codes, to the bit. (A row
// whose scale underflows to zero is all zeros then.)
TEST(Int8Row, RoundingIsIdempotent) {
  constexpr int64_t kCols = 24;
  Rng rng(1);
  float x[kCols];
  float codes[kCols];
  float values[kCols];
  float again[kCols];
  for (int i = 0; i < 200000; ++i) {
    // All exponents, the subnormal ones and the largest included.
    const float magnitude =
        std::ldexp(1.0f + static_cast<float>(rng.uniform()), static_cast<int>(rng.below(276)) - 149);
    for (float& value : x) value = magnitude * static_cast<float>(2 * rng.uniform() - 1);
    const float scale = round_to_int8(x, kCols, codes);
    for (int64_t c = 0; c < kCols; ++c) values[c] = scale * codes[c];
    ASSERT_EQ(round_to_int8(values, kCols, again), scale);
    if (scale == 0.0f) continue;
    ASSERT_EQ(std::memcmp(again, codes, sizeof(codes)), 0) << scale;
  }
}

TEST(Int8Row, StoredCodesAndScalesAreKept) {
  const int8_t codes[] = {3, 0, 0, -5, 0, -128, 127, 0, 1, 0, 0, 1};
  const float scales[] = {0.3f, 2.0f, 0.0f};
  Weight weight{Encoding::kInt8, 3, 4, reinterpret_cast<const std::byte*>(codes), nullptr};
  weight.scales = reinterpret_cast<const std::byte*>(scales);
  Matrix<float> other(1, 4);
  for (int64_t c = 0; c < 4; ++c) other(0, c) = static_cast<float>(c);
  const Weight bf16 = Weight::from_matrix(other.view(), Encoding::kBF16);
  for (const Weight& stored : {weight, to_pattern(weight, k2of4, "w")}) {
    const Weight stack[] = {bf16, stored};
    float row[4];
    for (int64_t r = 0; r < 2; ++r) {
      EXPECT_EQ(int8_row(stack, 1 + r, row), scales[r]);
      for (int64_t c = 0; c < 4; ++c) EXPECT_EQ(row[c], static_cast<float>(codes[4 * r + c]));
    }
    // Without a scale the values are zeros, and so are the numbers.
    EXPECT_EQ(int8_row(stack, 3, row), 0.0f);
    for (const float value : row) EXPECT_EQ(value, 0.0f);
    // Anything else is rounded.
    EXPECT_EQ(int8_row(stack, 0, row), 3.0f / 127.0f);
    EXPECT_EQ(row[3], 127.0f);
  }
}

}  // namespace
}  // namespace pare
