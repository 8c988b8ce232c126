// N:M and int8 weights: what they mean, and that storing them loses nothing.
#include "tensor/sparse_weight.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/rng.h"
#include "support/expect_error.h"
#include "tensor/int8_row.h"

namespace pare::test {
namespace {

// Random values of which every group keeps at most pattern.kept.
Matrix<float> sparse_values(int64_t rows, int64_t cols, Pattern pattern) {
  Rng rng(1);
  Matrix<float> values = Matrix<float>::zeros(rows, cols);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t g = 0; g < cols; g += pattern.group)
      for (int32_t n = 0; n < pattern.kept; ++n)  // a column may be drawn twice: some groups keep fewer
        values(r, g + static_cast<int64_t>(rng.below(static_cast<uint64_t>(pattern.group)))) =
            static_cast<float>(rng.normal());
  return values;
}

// Of which every group has exactly pattern.kept, side by side.
Matrix<float> full_values(int64_t rows, int64_t cols, Pattern pattern) {
  Rng rng(5);
  Matrix<float> values = Matrix<float>::zeros(rows, cols);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t g = 0; g < cols; g += pattern.group) {
      const auto first = static_cast<int64_t>(rng.below(static_cast<uint64_t>(pattern.group)));
      for (int32_t n = 0; n < pattern.kept; ++n) values(r, g + (first + n) % pattern.group) = 1.0f;
    }
  return values;
}

void expect_same(const Weight& a, const Weight& b) {
  ASSERT_EQ(a.rows, b.rows);
  ASSERT_EQ(a.cols, b.cols);
  const Matrix<float> x = decode(a);
  const Matrix<float> y = decode(b);
  EXPECT_EQ(std::memcmp(x.data(), y.data(), static_cast<size_t>(x.size()) * sizeof(float)), 0);
}

struct Case {
  const char* pattern;
  int64_t cols;
};
// Masks with and without a ragged last byte, groups that straddle bytes.
constexpr Case kCases[] = {{"2:4", 64}, {"2:4", 12}, {"4:8", 24}, {"1:4", 20},   {"6:8", 16},
                           {"3:5", 35}, {"1:2", 6},  {"1:3", 27}, {"31:32", 96}, {"1:32", 32}};

TEST(SparseWeight, RoundTripsToTheBit) {
  for (const Case& c : kCases) {
    const Pattern pattern = parse_pattern(c.pattern);
    const Matrix<float> values = sparse_values(70, c.cols, pattern);
    for (const Encoding e : {Encoding::kF32, Encoding::kF16, Encoding::kBF16, Encoding::kInt8}) {
      SCOPED_TRACE(fmt::format("{} {}", c.pattern, encoding_info(e).name));
      const Weight dense = Weight::from_matrix(values.view(), e);
      const Weight sparse = to_pattern(dense, pattern, "w");
      check_parts(sparse, "w");
      EXPECT_EQ(sparse.format.pattern, pattern);
      EXPECT_EQ(sparse.stored_values(), 70 * c.cols / pattern.group * pattern.kept);
      const int64_t scales = e == Encoding::kInt8 ? 70 * 4 : 0;
      EXPECT_EQ(sparse.bytes(),
                sparse.stored_values() * encoding_info(e).block_bytes + 70 * ((c.cols + 7) / 8) + scales);
      expect_same(sparse, dense);
      const Weight back = to_pattern(sparse, kDense, "w");
      ASSERT_EQ(back.bytes(), dense.bytes());
      // from_matrix writes 0.0f as +0.0 where the matrix has it.
      EXPECT_EQ(std::memcmp(back.data, dense.data,
                            static_cast<size_t>(dense.values() * encoding_info(e).block_bytes)),
                0);
      EXPECT_TRUE(all_finite(sparse));
    }
  }
}

TEST(SparseWeight, KeepsTheFirstZerosOfAPoorGroup) {
  Matrix<float> values = Matrix<float>::zeros(1, 12);
  values(0, 3) = 1.0f;  // 0 1 2 [3]
  values(0, 4) = 2.0f;  // [4] 5 6 7
  const Weight w = to_pattern(Weight::from_matrix(values.view()), k2of4, "w");
  ASSERT_EQ(w.stored_cols(), 6);
  EXPECT_EQ(w.mask[0], std::byte{0b0011'1001});  // columns 0 and 3, 4 and 5
  EXPECT_EQ(w.mask[1], std::byte{0b0000'0011});  // 8 and 9 of a group of zeros
  float stored[6];
  std::memcpy(stored, w.data, sizeof(stored));
  EXPECT_EQ(stored[1], 1.0f);
  EXPECT_EQ(stored[2], 2.0f);
}

TEST(SparseWeight, NegativeZerosBecomePositive) {
  Matrix<float> values = Matrix<float>::zeros(1, 4);
  std::fill_n(values.data(), 4, -0.0f);
  values(0, 1) = -3.0f;
  for (const Encoding e : {Encoding::kF32, Encoding::kF16, Encoding::kBF16}) {
    const Matrix<float> got = decode(to_pattern(Weight::from_matrix(values.view(), e), k2of4, "w"));
    for (const int64_t c : {0, 2, 3}) EXPECT_FALSE(std::signbit(got(0, c)));
    EXPECT_EQ(got(0, 1), -3.0f);
  }
}

TEST(SparseWeight, RefusesAGroupThatIsTooFull) {
  Matrix<float> values = Matrix<float>::zeros(200, 8);
  for (int64_t c = 4; c < 7; ++c) values(130, c) = 1.0f;
  const Weight dense = Weight::from_matrix(values.view());
  EXPECT_FALSE(can_store(dense, k2of4));
  EXPECT_TRUE(can_store(dense, {3, 4}));
  EXPECT_TRUE(can_store(dense, {3, 8}));
  EXPECT_FALSE(can_store(dense, {2, 3}));
  EXPECT_PARE_ERROR(to_pattern(dense, k2of4, "layer.weight"), ErrorCode::kInvalid,
                    "\"layer.weight\" is not 2:4: more than 2 of columns 4 to 7 of row 130");
  EXPECT_PARE_ERROR(to_pattern(dense, {1, 3}, "layer.weight"), ErrorCode::kFormat, "rows of 8 values");
  values(130, 6) = std::numeric_limits<float>::quiet_NaN();  // is not zero
  EXPECT_FALSE(can_store(Weight::from_matrix(values.view()), k2of4));
}

TEST(SparseWeight, ChangesPatternsAndEncodings) {
  const Matrix<float> values = sparse_values(9, 40, {1, 4});
  const Weight dense = Weight::from_matrix(values.view(), Encoding::kBF16);
  const Weight narrow = to_pattern(dense, {1, 4}, "w");
  const Weight wide = to_pattern(narrow, {4, 8}, "w");
  check_parts(wide, "w");
  expect_same(wide, dense);
  expect_same(to_format(narrow, Encoding::kF32, "w"), dense);
  // int8 of the kept values is int8 of the row: zeros do not move the scale.
  const Weight quantised = Weight::from_matrix(decode(dense).view(), Encoding::kInt8);
  expect_same(to_format(narrow, {{1, 4}, Encoding::kInt8}, "w"), quantised);
}

TEST(SparseWeight, Int8IsScaleTimesWholeNumber) {
  Rng rng(3);
  Matrix<float> values(3, 17);
  for (int64_t i = 0; i < values.size(); ++i) values.data()[i] = static_cast<float>(rng.normal());
  std::fill_n(values.row(1), 17, 0.0f);
  const Weight w = Weight::from_matrix(values.view(), Encoding::kInt8);
  EXPECT_EQ(w.bytes(), 3 * 17 + 3 * 4);
  const Matrix<float> got = decode(w);
  for (int64_t r = 0; r < 3; ++r) {
    std::vector<float> rounded(17);
    const float scale = round_to_int8(values.row(r), 17, rounded.data());
    for (size_t c = 0; c < 17; ++c) EXPECT_EQ(got(r, static_cast<int64_t>(c)), scale * rounded[c]);
  }
}

TEST(SparseWeight, RowsAreTakenWithMaskAndScale) {
  const Matrix<float> values = sparse_values(10, 20, k2of4);
  const int64_t order[] = {7, 0, 7, 3};
  for (const Encoding e : {Encoding::kBF16, Encoding::kInt8}) {
    const Weight w = to_pattern(Weight::from_matrix(values.view(), e), k2of4, "w");
    const Matrix<float> all = decode(w);
    const Matrix<float> part = decode(rows_of(w, 4, 5));
    EXPECT_EQ(rows_of(w, 4, 5).bytes() * 2, w.bytes());
    EXPECT_EQ(std::memcmp(part.data(), all.row(4), 5 * 20 * sizeof(float)), 0);
    const Weight gathered = gather_rows(w, order);
    check_parts(gathered, "w");
    for (int64_t r = 0; r < 4; ++r) {
      float row[20];
      decode_row(gathered, r, row);
      EXPECT_EQ(std::memcmp(row, all.row(order[r]), sizeof(row)), 0);
    }
  }
}

TEST(SparseWeight, MeasuresTheCheapestPattern) {
  const auto pattern = [](Pattern p, int64_t cols, Encoding stored) {
    const Matrix<float> values = full_values(300, cols, p);
    return pattern_name(measure_sparsity(Weight::from_matrix(values.view()), stored).pattern);
  };
  for (const char* name : {"2:4", "1:4", "3:4", "6:8", "3:8", "5:32"})
    EXPECT_EQ(pattern(parse_pattern(name), 64, Encoding::kBF16), name);
  EXPECT_EQ(pattern({1, 2}, 64, Encoding::kBF16), "2:4");  // as many bits
  EXPECT_EQ(pattern({1, 2}, 6, Encoding::kBF16), "1:2");   // 4 does not divide 6
  EXPECT_EQ(pattern({2, 4}, 7 * 4, Encoding::kInt8), "2:4");
  EXPECT_EQ(pattern({7, 8}, 64, Encoding::kBF16), "7:8");
  EXPECT_EQ(pattern({7, 8}, 64, Encoding::kInt8), "dense");  // 8·7 + 8 bits are no fewer than 8·8
  EXPECT_EQ(pattern({1, 3}, 63, Encoding::kBF16), "dense");  // of odd rows only what is asked for
  const Matrix<float> none = Matrix<float>::zeros(2, 32);
  const Sparsity zeros = measure_sparsity(Weight::from_matrix(none.view()), Encoding::kBF16);
  EXPECT_EQ(zeros.zeros, 64);
  EXPECT_EQ(pattern_name(zeros.pattern), "1:32");
}

TEST(SparseWeight, ChecksMasksAndScales) {
  const Matrix<float> values = sparse_values(70, 20, k2of4);
  const Weight good = to_pattern(Weight::from_matrix(values.view(), Encoding::kInt8), k2of4, "w");
  const int64_t mask_bytes = 70 * 3;
  const auto damaged = [&](auto&& edit) {
    std::vector<std::byte> mask(good.mask, good.mask + mask_bytes);
    std::vector<float> scales(70);
    std::memcpy(scales.data(), good.scales, 70 * 4);
    edit(mask, scales);
    Weight bad = good;
    bad.mask = mask.data();
    bad.scales = reinterpret_cast<const std::byte*>(scales.data());
    check_parts(bad, "the matrix");
  };
  using Mask = std::vector<std::byte>;
  using Scales = std::vector<float>;
  damaged([](Mask&, Scales&) {});
  EXPECT_PARE_ERROR(damaged([](Mask& m, Scales&) { m[69 * 3] = std::byte{0b0011'0111}; }), ErrorCode::kFormat,
                    "the matrix: the mask of row 69 keeps 3 of columns 0 to 3, 2:4 keeps 2");
  EXPECT_PARE_ERROR(damaged([](Mask& m, Scales&) { m[1] = std::byte{0b0001'0011}; }), ErrorCode::kFormat,
                    "row 0 keeps 1 of columns 12 to 15");
  EXPECT_PARE_ERROR(damaged([](Mask& m, Scales&) { m[5] = std::byte{0b0001'0011}; }), ErrorCode::kFormat,
                    "row 1 keeps columns beyond the last of 20");
  for (const float scale : {-1.0f, -0.0f, std::numeric_limits<float>::infinity(), std::nanf("")})
    EXPECT_PARE_ERROR(damaged([&](Mask&, Scales& s) { s[42] = scale; }), ErrorCode::kFormat,
                      "the matrix: the scale of row 42 is");
}

}  // namespace
}  // namespace pare::test
