// Four-bit codes with a grid of scales: what they mean, how they are rounded, and that patterns keep them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/rng.h"
#include "support/expect_error.h"
#include "tensor/int4_group.h"
#include "tensor/sparse_weight.h"

namespace pare::test {
namespace {

Matrix<float> normal_values(int64_t rows, int64_t cols, uint64_t seed = 1) {
  Rng rng(seed);
  Matrix<float> values(rows, cols);
  for (int64_t i = 0; i < values.size(); ++i) values.data()[i] = static_cast<float>(rng.normal());
  return values;
}

void expect_same(const Weight& a, const Weight& b) {
  const Matrix<float> x = decode(a);
  const Matrix<float> y = decode(b);
  ASSERT_EQ(x.size(), y.size());
  EXPECT_EQ(std::memcmp(x.data(), y.data(), static_cast<size_t>(x.size()) * sizeof(float)), 0);
}

void expect_same_parts(const Weight& a, const Weight& b) {
  EXPECT_EQ(a.format, b.format);
  for (size_t i = 0; i < a.parts().size(); ++i) {
    ASSERT_EQ(a.parts()[i].size(), b.parts()[i].size()) << i;
    if (a.parts()[i].empty()) continue;
    EXPECT_EQ(std::memcmp(a.parts()[i].data(), b.parts()[i].data(), a.parts()[i].size()), 0) << i;
  }
}

TEST(Int4, AValueIsCodeMinusZeroPointTimesScale) {
  // Two rows of two groups; code i % 16 in column i.
  std::vector<std::byte> codes;
  for (int i = 0; i < 64; i += 2) codes.push_back(static_cast<std::byte>(i % 16 | ((i + 1) % 16) << 4));
  const std::vector<float> scales = {0.5f, 3.0f, 0.1f, 0.0f};
  const std::vector<std::byte> zeros = {std::byte{0}, std::byte{15}, std::byte{8}, std::byte{3}};
  Weight weight{{kDense, Encoding::kInt4, 32}, 2, 64, codes.data(), nullptr};
  codes.insert(codes.end(), codes.begin(), codes.end());
  weight.data = codes.data();
  weight.scales = reinterpret_cast<const std::byte*>(scales.data());
  for (const bool zero_points : {false, true}) {
    weight.format.zero_points = zero_points;
    weight.zero_points = zero_points ? zeros.data() : nullptr;
    EXPECT_EQ(weight.bytes(), 64 + 16 + (zero_points ? 4 : 0));
    const Matrix<float> values = decode(weight);
    for (int64_t r = 0; r < 2; ++r)
      for (int64_t c = 0; c < 64; ++c) {
        const auto i = static_cast<size_t>(2 * r + c / 32);
        const int zero = zero_points ? static_cast<int>(zeros[i]) : 8;
        EXPECT_EQ(values(r, c), static_cast<float>(c % 16 - zero) * scales[i]) << r << " " << c;
      }
  }
}

TEST(Int4, GroupsCountColumnsNotStoredValues) {
  // 2:4 in groups of 32: sixteen stored codes a group, 1 to 8 and back.
  std::vector<std::byte> codes;
  for (int i = 0; i < 32; i += 2) codes.push_back(static_cast<std::byte>((9 + i % 4) | (10 + i % 4) << 4));
  const std::vector<std::byte> mask(8, std::byte{0b1001'0110});
  const std::vector<float> scales = {1.0f, 10.0f};
  Weight weight{{k2of4, Encoding::kInt4, 32}, 1, 64, codes.data(), nullptr};
  weight.mask = mask.data();
  weight.scales = reinterpret_cast<const std::byte*>(scales.data());
  check_parts(weight, "w");
  const Matrix<float> values = decode(weight);
  for (int64_t c = 0; c < 64; c += 8) {
    const float scale = c < 32 ? 1.0f : 10.0f;
    const float expected[] = {0, 1, 2, 0, 3, 0, 0, 4};
    for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(values(0, c + i), expected[i] * scale) << c + i;
  }
}

// The squared error of the plain way: the step that makes the largest magnitude the largest code.
double plain_error(const float* x, int64_t n, bool zero_points) {
  float lowest = 0.0f;
  float highest = 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    lowest = std::min(lowest, x[i]);
    highest = std::max(highest, x[i]);
  }
  const float step = zero_points ? (highest - lowest) / 15 : std::max(highest, -lowest) / 7;
  const float zero = zero_points ? std::nearbyint(-lowest / step) : 8.0f;
  double error = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    const float code = std::min(15.0f, std::max(0.0f, std::nearbyint(x[i] / step) + zero));
    error += std::pow(static_cast<double>(x[i] - step * (code - zero)), 2);
  }
  return error;
}

TEST(Int4, RoundsToTheLeastSquaredError) {
  const Matrix<float> values = normal_values(200, 32);
  for (const bool zero_points : {false, true}) {
    double sum = 0.0;
    double plain = 0.0;
    for (int64_t r = 0; r < values.rows(); ++r) {
      const float* x = values.row(r);
      float codes[32];
      const Int4Group group = round_to_int4(x, 32, zero_points, codes);
      double error = 0.0;
      double slope = 0.0;  // of the error, by the scale
      double squares = 0.0;
      for (int64_t i = 0; i < 32; ++i) {
        ASSERT_EQ(codes[i], std::nearbyint(codes[i]));
        ASSERT_GE(codes[i], 0.0f);
        ASSERT_LE(codes[i], 15.0f);
        const double code = static_cast<double>(codes[i]) - group.zero_point;
        const double left = static_cast<double>(x[i]) - code * static_cast<double>(group.scale);
        error += left * left;
        slope += left * code;
        squares += code * code;
      }
      // The scale is f32: half a unit in its last place.
      EXPECT_LE(std::fabs(slope), squares * static_cast<double>(group.scale) * 0x1p-24 * 1.01);
      EXPECT_LE(error, plain_error(x, 32, zero_points) * (1 + 1e-6)) << r;
      sum += error;
      plain += plain_error(x, 32, zero_points);
    }
    EXPECT_LT(sum, 0.9 * plain);
  }
}

// A scale of 16 bits is the nearest to the best one, and each code is the nearest for the scale that is
// stored.
TEST(Int4, CodesAreChosenForTheScaleThatIsStored) {
  const Matrix<float> values = normal_values(200, 32);
  for (const Encoding type : {Encoding::kF16, Encoding::kBF16})
    for (const bool zero_points : {false, true})
      for (int64_t r = 0; r < values.rows(); ++r) {
        const float* x = values.row(r);
        float codes[32];
        const float best = round_to_int4(x, 32, zero_points, codes).scale;
        const Int4Group group = round_to_int4(x, 32, zero_points, codes, type);
        std::byte bytes[2];
        float stored = 0.0f;
        encode_values(type, &best, 1, bytes);
        decode_values(type, bytes, 1, &stored);
        ASSERT_EQ(group.scale, stored);
        for (int64_t i = 0; i < 32; ++i) {
          const double code = static_cast<double>(x[i]) / static_cast<double>(stored) + group.zero_point;
          ASSERT_NEAR(static_cast<double>(codes[i]), std::clamp(code, 0.0, 15.0), 0.5 + 1e-9);
        }
      }
}

TEST(Int4, AScaleThatVanishesInItsTypeMeansZeros) {
  const std::vector<float> x(32, 1e-9f);
  float codes[32];
  EXPECT_GT(round_to_int4(x.data(), 32, false, codes, Encoding::kBF16).scale, 0.0f);
  const Int4Group group = round_to_int4(x.data(), 32, false, codes, Encoding::kF16);
  EXPECT_EQ(group.scale, 0.0f);
  for (const float code : codes) EXPECT_EQ(code, static_cast<float>(group.zero_point));
}

TEST(Int4, ScalesOf16BitsSurviveEveryMove) {
  for (const Encoding type : {Encoding::kF16, Encoding::kBF16}) {
    WeightFormat format = {kDense, Encoding::kInt4, 32};
    format.scale_type = type;
    const Weight weight = Weight::from_matrix(normal_values(70, 128).view(), format);
    EXPECT_EQ(weight.bytes(), 70 * 64 + 70 * 4 * 2);
    check_parts(weight, "w");
    const Matrix<float> values = decode(weight);
    const int64_t order[] = {69, 3};
    const Matrix<float> moved = decode(gather_rows(weight, order));
    const Matrix<float> part = decode(rows_of(weight, 3, 2));
    for (int64_t c = 0; c < 128; ++c) {
      EXPECT_EQ(moved(0, c), values(69, c));
      EXPECT_EQ(moved(1, c), values(3, c));
      EXPECT_EQ(part(0, c), values(3, c));
    }
    // Stored with a mask and without one again.
    const Weight sparse = to_pattern(weight, {4, 4}, "w");
    expect_same_parts(to_pattern(sparse, kDense, "w"), weight);
    // What is rounded to the same format again stays.
    expect_same(Weight::from_matrix(values.view(), format), weight);
  }
}

TEST(Int4, ZeroStaysZeroAndZeroPointsServeUnevenGroups) {
  Rng rng(3);
  std::vector<float> x(64);
  for (size_t i = 0; i < x.size(); ++i) x[i] = i % 4 == 0 ? 0.0f : 1.0f + static_cast<float>(rng.uniform());
  std::vector<float> codes(64);
  double errors[2];
  for (const bool zero_points : {false, true}) {
    const Int4Group group = round_to_int4(x.data(), 64, zero_points, codes.data());
    EXPECT_EQ(group.zero_point, zero_points ? 0 : 8);
    double error = 0.0;
    for (size_t i = 0; i < x.size(); ++i) {
      const float value = (codes[i] - static_cast<float>(group.zero_point)) * group.scale;
      EXPECT_EQ(value == 0.0f, x[i] == 0.0f);
      error += std::pow(static_cast<double>(value - x[i]), 2);
    }
    errors[zero_points] = error;
  }
  EXPECT_LT(errors[1], 0.5 * errors[0]);
  std::fill(x.begin(), x.end(), -0.0f);
  const Int4Group none = round_to_int4(x.data(), 64, true, codes.data());
  EXPECT_EQ(none.scale, 0.0f);
  for (const float code : codes) EXPECT_EQ(code, static_cast<float>(none.zero_point));
}

TEST(Int4, GroupsOfExtremeMagnitudesAreFinite) {
  for (const float magnitude : {1e-45f, 1e-38f, 1e38f}) {
    float x[32];
    float codes[32];
    for (int i = 0; i < 32; ++i) x[i] = magnitude * (i % 2 == 0 ? 1.0f : -0.5f);
    for (const bool zero_points : {false, true}) {
      const Int4Group group = round_to_int4(x, 32, zero_points, codes);
      EXPECT_TRUE(std::isfinite(group.scale));
      EXPECT_GE(group.scale, 0.0f);
      for (const float code : codes) EXPECT_TRUE(code >= 0.0f && code <= 15.0f);
    }
  }
}

TEST(Int4, MatricesAreRoundedByGroups) {
  const Matrix<float> values = normal_values(70, 128);
  for (const WeightFormat& format :
       {WeightFormat(kDense, Encoding::kInt4, 32), WeightFormat(kDense, Encoding::kInt4, 128, true),
        WeightFormat(Encoding::kInt4)}) {
    SCOPED_TRACE(format_name(format));
    const Weight weight = Weight::from_matrix(values.view(), format);
    const int64_t group = format.group == 0 ? 128 : format.group;
    EXPECT_EQ(weight.bytes(), 70 * 64 + 70 * (128 / group) * (format.zero_points ? 5 : 4));
    check_parts(weight, "w");
    EXPECT_TRUE(all_finite(weight));
    const Matrix<float> got = decode(weight);
    std::vector<float> codes(static_cast<size_t>(group));
    for (int64_t r = 0; r < 70; ++r)
      for (int64_t c = 0; c < 128; c += group) {
        const Int4Group rounded = round_to_int4(values.row(r) + c, group, format.zero_points, codes.data());
        for (int64_t i = 0; i < group; ++i)
          ASSERT_EQ(got(r, c + i),
                    (codes[static_cast<size_t>(i)] - static_cast<float>(rounded.zero_point)) * rounded.scale);
      }
  }
  EXPECT_PARE_ERROR(Weight::from_matrix(normal_values(2, 48).view(), {kDense, Encoding::kInt4, 32}),
                    ErrorCode::kFormat, "its rows of 48 values do not divide into groups of 32");
  EXPECT_PARE_ERROR(Weight::from_matrix(normal_values(2, 7).view(), Encoding::kInt4), ErrorCode::kFormat,
                    "the 7 stored values of a row do not divide into blocks of 2");
}

TEST(Int4, EightBitCodesMayHaveAGridToo) {
  const Matrix<float> values = normal_values(3, 96);
  const Weight weight = Weight::from_matrix(values.view(), {kDense, Encoding::kInt8, 32});
  EXPECT_EQ(weight.bytes(), 3 * 96 + 3 * 3 * 4);
  for (int64_t g = 0; g < 3; ++g) {
    Matrix<float> part(3, 32);
    for (int64_t r = 0; r < 3; ++r) std::copy_n(values.row(r) + 32 * g, 32, part.row(r));
    const Matrix<float> expected = decode(Weight::from_matrix(part.view(), Encoding::kInt8));
    for (int64_t r = 0; r < 3; ++r)
      for (int64_t c = 0; c < 32; ++c) EXPECT_EQ(decode(weight)(r, 32 * g + c), expected(r, c));
  }
}

TEST(Int4, PatternsKeepCodesAndScales) {
  for (const char* name : {"2:4", "4:8", "1:4", "6:8", "1:2", "31:32"})
    for (const WeightFormat& format :
         {WeightFormat(kDense, Encoding::kInt4, 32), WeightFormat(kDense, Encoding::kInt4, 64, true),
          WeightFormat(Encoding::kInt4), WeightFormat(kDense, Encoding::kInt8, 32)}) {
      SCOPED_TRACE(fmt::format("{} {}", name, format_name(format)));
      const Pattern pattern = parse_pattern(name);
      Matrix<float> values = normal_values(70, 128);
      for (int64_t r = 0; r < 70; ++r)
        for (int64_t c = 0; c < 128; ++c) {
          values(r, c) += 0.5f;  // uneven, for the zero points
          if ((c + r) % pattern.group >= pattern.kept) values(r, c) = 0.0f;
        }
      const Weight dense = Weight::from_matrix(values.view(), format);
      const Weight sparse = to_pattern(dense, pattern, "w");
      check_parts(sparse, "w");
      EXPECT_EQ(sparse.format, format.in(pattern));
      expect_same(sparse, dense);
      expect_same_parts(to_pattern(sparse, kDense, "w"), dense);
      expect_same_parts(to_format(dense, format.in(pattern), "w"), sparse);
      expect_same_parts(to_format(Weight::from_matrix(values.view()), format.in(pattern), "w"), sparse);
    }
  const Weight dense = Weight::from_matrix(normal_values(2, 160).view(), {kDense, Encoding::kInt4, 32});
  EXPECT_PARE_ERROR(to_pattern(dense, {3, 5}, "layer"), ErrorCode::kFormat,
                    "\"layer\" cannot be 3:5-int4-g32: groups of 32 columns do not divide into groups of 5");
  EXPECT_PARE_ERROR(to_pattern(dense, k2of4, "layer"), ErrorCode::kInvalid, "\"layer\" is not 2:4");
}

TEST(Int4, CodesWithoutAScaleAreZeros) {
  const Weight good = Weight::from_matrix(normal_values(2, 64).view(), {kDense, Encoding::kInt4, 32, true});
  std::vector<float> scales(4);
  std::memcpy(scales.data(), good.scales, 16);
  Weight weight = good;
  weight.scales = reinterpret_cast<const std::byte*>(scales.data());
  EXPECT_FALSE(can_store(weight, k2of4));
  std::fill(scales.begin(), scales.end(), 0.0f);
  ASSERT_TRUE(can_store(weight, k2of4));
  const Matrix<float> values = decode(to_pattern(weight, k2of4, "w"));
  for (int64_t i = 0; i < values.size(); ++i) EXPECT_EQ(values.data()[i], 0.0f);
  scales[1] = 1.0f;
  EXPECT_FALSE(can_store(weight, k2of4));
  EXPECT_PARE_ERROR(to_pattern(weight, k2of4, "w"), ErrorCode::kInvalid, "of columns 32 to 35 of row 0");
}

TEST(Int4, RowsAreTakenWithTheirScales) {
  const int64_t order[] = {7, 0, 7, 3};
  Matrix<float> values = normal_values(10, 64);
  for (int64_t i = 0; i < values.size(); ++i)
    if (i % 4 > 1) values.data()[i] = 0.0f;
  const Weight weight =
      to_format(Weight::from_matrix(values.view()), {k2of4, Encoding::kInt4, 32, true}, "w");
  const Matrix<float> all = decode(weight);
  const Weight rows = rows_of(weight, 4, 5);
  EXPECT_EQ(rows.bytes() * 2, weight.bytes());
  EXPECT_EQ(std::memcmp(decode(rows).data(), all.row(4), 5 * 64 * sizeof(float)), 0);
  const Weight gathered = gather_rows(weight, order);
  check_parts(gathered, "w");
  for (int64_t r = 0; r < 4; ++r)
    EXPECT_EQ(std::memcmp(decode(gathered).row(r), all.row(order[r]), 64 * sizeof(float)), 0);
}

}  // namespace
}  // namespace pare::test
