#include "tensor/value_pattern.h"

#include <gtest/gtest.h>

#include <vector>

namespace pare {
namespace {

// 0 1 0 1 | 0 0 1 1 | ... : two of every four, three of some five.
Matrix<float> two_of_four(int64_t rows, int64_t cols) {
  Matrix<float> m = Matrix<float>::zeros(rows, cols);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c)
      if (c / 4 % 2 == 0 ? c % 2 == 1 : c % 4 >= 2) m(r, c) = static_cast<float>(c - 1000);
  return m;
}

bool matrix_follows(const Matrix<float>& m, Pattern pattern) {
  const Weight weight = Weight::from_matrix(m.view());
  return values_follow(std::span(&weight, 1), pattern);
}

TEST(ValuesFollow, CountsAlignedGroups) {
  const float x[] = {0.0f, 0.0f, 1.0f, 2.0f, -3.0f, 4.0f, 0.0f, -0.0f, 5.0f};
  EXPECT_TRUE(values_follow(x, 9, {2, 4}));  // four in a row across two groups; minus zero is zero
  EXPECT_FALSE(values_follow(x, 9, {1, 4}));
  EXPECT_FALSE(values_follow(x, 9, {1, 2}));
  EXPECT_TRUE(values_follow(x, 9, {4, 8}));
  EXPECT_FALSE(values_follow(x, 9, {3, 8}));
  EXPECT_FALSE(values_follow(x, 9, {2, 3}));
  EXPECT_TRUE(values_follow(x, 9, kDense));
  EXPECT_TRUE(values_follow(x, 2, {1, 32}));
  EXPECT_TRUE(values_follow(x, 3, {1, 32}));
  EXPECT_FALSE(values_follow(x, 4, {1, 32}));
  EXPECT_TRUE(values_follow(x, 0, {1, 2}));
}

TEST(ValuesFollow, FindsOneValueTooMany) {
  for (const int64_t cols : {1, 2, 3, 4, 70, 71}) {
    const Matrix<float> m = two_of_four(100, cols);
    SCOPED_TRACE(cols);
    EXPECT_TRUE(matrix_follows(m, k2of4));
    for (const int64_t row : {0, 1, 57, 99}) {
      Matrix<float> worse = two_of_four(100, cols);
      const int64_t first = (cols - 1) / 4 * 4;
      for (int64_t c = first; c < cols; ++c) worse(row, c) = 1.0f;
      EXPECT_EQ(matrix_follows(worse, k2of4), cols - first <= 2);
    }
  }
}

TEST(ValuesFollow, AsksEveryWeightOfAStack) {
  Matrix<float> last_is_full = two_of_four(20, 8);
  for (int64_t c = 4; c < 8; ++c) last_is_full(19, c) = 1.0f;
  const Weight good = Weight::from_matrix(std::as_const(last_is_full).view().rows_of(0, 19));
  const Weight bad = Weight::from_matrix(std::as_const(last_is_full).view());
  const std::vector<Weight> goods = {good, good};
  const std::vector<Weight> last_bad = {good, bad};
  EXPECT_TRUE(values_follow(goods, k2of4));
  EXPECT_FALSE(values_follow(last_bad, k2of4));
}

}  // namespace
}  // namespace pare
