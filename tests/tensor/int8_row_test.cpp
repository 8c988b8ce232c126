#include "tensor/int8_row.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace pare
