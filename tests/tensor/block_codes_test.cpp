#include "tensor/block_codes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/rng.h"
#include "tensor/row_grid.h"

namespace pare {
namespace {

constexpr Encoding kWithCodes[] = {Encoding::kQ8_0,   Encoding::kQ4_0,   Encoding::kQ4_1,  Encoding::kQ5_0,
                                   Encoding::kQ5_1,   Encoding::kIQ4_NL, Encoding::kMXFP4, Encoding::kQ2_K,
                                   Encoding::kQ3_K,   Encoding::kQ4_K,   Encoding::kQ5_K,  Encoding::kQ6_K,
                                   Encoding::kIQ4_XS, Encoding::kQ4N,    Encoding::kQ3N};

class BlockCodes : public testing::TestWithParam<Encoding> {};

// Random bytes, whose floats are made finite by clearing the highest bit of the exponent of every half: codes
// and whole numbers take all values.
std::vector<std::byte> random_row(Encoding encoding, int64_t cols, uint64_t seed) {
  Rng rng(seed);
  std::vector<std::byte> bytes(static_cast<size_t>(row_bytes(encoding, cols)));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng.next() & 0xff);
  RowCodes row;
  take_row_codes(encoding, bytes.data(), cols, row);
  for (float& factor : row.factors)
    if (!std::isfinite(factor) || std::abs(factor) > 100) factor = 0.25f;
  for (float& factor : row.minimum_factors)
    if (!std::isfinite(factor) || std::abs(factor) > 100) factor = -0.5f;
  put_row_codes(encoding, row, bytes.data());
  return bytes;
}

TEST_P(BlockCodes, MeanWhatIsDecoded) {
  const Encoding encoding = GetParam();
  const CodeLayout& layout = *code_layout(encoding);
  const int64_t cols = layout.superblock == 0 ? 17 * 32 : 3 * layout.superblock;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<std::byte> bytes = random_row(encoding, cols, seed);
    std::vector<float> values(static_cast<size_t>(cols));
    decode_values(encoding, bytes.data(), cols, values.data());
    RowCodes row;
    take_row_codes(encoding, bytes.data(), cols, row);
    for (int64_t c = 0; c < cols; ++c) {
      const auto b = static_cast<size_t>(c / layout.block);
      const auto s = static_cast<size_t>(layout.superblock == 0 ? 0 : c / layout.superblock);
      const double scale = static_cast<double>(row.factors[s]) * row.scales[b];
      const double minimum =
          row.minima.empty() ? 0.0 : static_cast<double>(row.minimum_factors[s]) * row.minima[b];
      const double product = scale * layout.levels[row.codes[static_cast<size_t>(c)]];
      ASSERT_GE(row.scales[b], layout.least_scale);
      ASSERT_LE(row.scales[b], layout.largest_scale);
      ASSERT_NEAR(values[static_cast<size_t>(c)], product + minimum,
                  1e-6 * (std::abs(product) + std::abs(minimum)))
          << c;
    }
  }
}

TEST_P(BlockCodes, AreTakenApartAndPutTogetherWithoutChange) {
  const Encoding encoding = GetParam();
  const CodeLayout& layout = *code_layout(encoding);
  const int64_t cols = layout.superblock == 0 ? 5 * 32 : 2 * layout.superblock;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<std::byte> bytes = random_row(encoding, cols, seed);
    RowCodes row;
    take_row_codes(encoding, bytes.data(), cols, row);
    std::vector<std::byte> again(bytes.size(), std::byte{0xff});
    put_row_codes(encoding, row, again.data());
    // The last bits of six-bit scales may belong to no block.
    if (layout.superblock == 0) {
      RowCodes other;
      take_row_codes(encoding, again.data(), cols, other);
      EXPECT_EQ(other.codes, row.codes);
      EXPECT_EQ(other.scales, row.scales);
      EXPECT_EQ(other.factors, row.factors);
    } else {
      EXPECT_EQ(again, bytes);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Encodings, BlockCodes, testing::ValuesIn(kWithCodes),
                         [](const auto& tested) { return std::string(encoding_info(tested.param).name); });

class Rounding : public testing::TestWithParam<Encoding> {};

std::vector<float> gaussian_row(int64_t cols, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values;
  for (int64_t c = 0; c < cols; ++c) values.push_back(static_cast<float>(rng.normal()));
  return values;
}

std::vector<float> round_trip(Encoding encoding, const std::vector<float>& values) {
  const auto cols = static_cast<int64_t>(values.size());
  std::vector<std::byte> bytes(static_cast<size_t>(row_bytes(encoding, cols)));
  encode_values(encoding, values.data(), cols, bytes.data());
  std::vector<float> decoded(values.size());
  decode_values(encoding, bytes.data(), cols, decoded.data());
  return decoded;
}

// Returns Σ (w − rounded)² / Σ w².
double relative_error(Encoding encoding, const std::vector<float>& values) {
  const std::vector<float> decoded = round_trip(encoding, values);
  double lost = 0.0;
  double all = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double difference = static_cast<double>(values[i]) - static_cast<double>(decoded[i]);
    lost += difference * difference;
    all += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  return lost / all;
}

// Errors of Gaussian values with the best scales, as the theory of rounding has them within a few per cent.
double expected_error(Encoding encoding) {
  switch (encoding) {
    case Encoding::kQ2_K:
      return 0.085;
    case Encoding::kQ3_K:
    case Encoding::kQ3N:
      return 0.027;
    case Encoding::kQ4_0:
      return 0.0085;
    case Encoding::kQ4_1:
    case Encoding::kQ4_K:
    case Encoding::kIQ4_NL:
    case Encoding::kIQ4_XS:
    case Encoding::kQ4N:
      return 0.0066;
    case Encoding::kQ5_0:
    case Encoding::kQ5_1:
    case Encoding::kQ5_K:
      return 0.0017;
    case Encoding::kQ6_K:
      return 0.0004;
    default:
      return 0.00003;
  }
}

TEST_P(Rounding, LosesNoMoreThanItsBitsMust) {
  const double error = relative_error(GetParam(), gaussian_row(256 * 64, 7));
  EXPECT_LT(error, expected_error(GetParam()));
  EXPECT_GT(error, expected_error(GetParam()) / 2);
}

// A range without the other sign is half as wide, which a minimum makes use of. One above zero is not to be
// had in superblocks.
TEST_P(Rounding, LosesLessOfOneSign) {
  if (code_layout(GetParam())->largest_minimum == 0) GTEST_SKIP() << "no minima";
  std::vector<float> values = gaussian_row(256 * 64, 7);
  for (const float sign : {1.0f, -1.0f}) {
    for (float& value : values) value = sign * std::abs(value);
    EXPECT_LT(relative_error(GetParam(), values), 0.4 * expected_error(GetParam())) << sign;
  }
}

TEST_P(Rounding, FindsTheGridThatValuesLieOn) {
  const std::vector<float> once = round_trip(GetParam(), gaussian_row(256 * 8, 3));
  EXPECT_LT(relative_error(GetParam(), once), 0.1 * expected_error(GetParam()));
}

TEST_P(Rounding, TakesZerosTinyAndHugeValues) {
  for (const float factor : {0.0f, 1e-30f, 1e-7f, 1e3f}) {
    std::vector<float> values = gaussian_row(256, 5);
    for (float& value : values) value *= factor;
    for (const float value : round_trip(GetParam(), values)) {
      ASSERT_TRUE(std::isfinite(value));
      ASSERT_TRUE(factor != 0.0f || value == 0.0f);
    }
  }
}

// What is not finite is refused where a model is written, after rounding.
TEST_P(Rounding, SurvivesWhatIsNotFinite) {
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()}) {
    std::vector<float> values = gaussian_row(512, 5);
    values[3] = value;
    const std::vector<float> rounded = round_trip(GetParam(), values);
    if (code_layout(GetParam())->superblock == 0) continue;  // one factor a row
    const std::vector<float> alone = round_trip(GetParam(), {values.begin() + 256, values.end()});
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), rounded.begin() + 256));
  }
}

TEST_P(Rounding, OfARowIsThatOfItsBlocksInOrder) {
  const std::vector<float> row = gaussian_row(512, 9);
  const std::vector<double> w(row.begin(), row.end());
  std::vector<double> h;
  Rng rng(4);
  for (size_t c = 0; c < w.size(); ++c) h.push_back(std::exp(rng.normal()));
  RowGrid whole(GetParam(), 512);
  whole.round_row(w.data(), h.data());
  RowGrid blocks(GetParam(), 512);
  blocks.begin(w.data(), h.data());
  for (int64_t c = 0; c < 512; ++c) {
    if (c % blocks.block() == 0) blocks.choose(w.data(), h.data(), c);
    ASSERT_EQ(blocks.round(c, w[static_cast<size_t>(c)]), whole.value(c)) << c;
  }
}

// Every value becomes the nearest that its block's scale and minimum allow.
TEST_P(Rounding, TakesTheNearestLevel) {
  const std::vector<float> row = gaussian_row(512, 2);
  const std::vector<double> w(row.begin(), row.end());
  RowGrid grid(GetParam(), 512);
  grid.round_row(w.data(), std::vector<double>(512, 1.0).data());
  const CodeLayout& layout = grid.layout();
  for (int64_t c = 0; c < 512; ++c) {
    const int64_t b = c / layout.block;
    double least = std::numeric_limits<double>::infinity();
    for (int32_t k = 0; k < 1 << layout.bits; ++k)
      least = std::min(
          least, std::abs(w[static_cast<size_t>(c)] - grid.minimum(b) - grid.scale(b) * layout.levels[k]));
    ASSERT_NEAR(std::abs(w[static_cast<size_t>(c)] - grid.value(c)), least, 1e-12) << c;
  }
}

std::vector<Encoding> rounded_to() {
  std::vector<Encoding> result;
  for (const Encoding encoding : kWithCodes)
    if (can_round_to(encoding) && encoding != Encoding::kQ8_0) result.push_back(encoding);
  return result;
}

INSTANTIATE_TEST_SUITE_P(Encodings, Rounding, testing::ValuesIn(rounded_to()),
                         [](const auto& tested) { return std::string(encoding_info(tested.param).name); });

TEST(OwnEncodings, TakeTheBitsThatTheyPromise) {
  EXPECT_EQ(row_bytes(Encoding::kQ4N, 576), 2 + 14 + 18 * 16);
  EXPECT_EQ(row_bytes(Encoding::kQ3N, 576), 2 + 14 + 18 * 12);
  EXPECT_EQ(row_bytes(Encoding::kQ4N, 32), 2 + 1 + 16);
}

TEST(RowGrid, WeighsErrorsByTheirImportance) {
  const std::vector<float> row = gaussian_row(32, 11);
  const std::vector<double> w(row.begin(), row.end());
  std::vector<double> h(32, 1.0);
  h[5] = 1000.0;
  const auto error_of = [&](const std::vector<double>& importance) {
    RowGrid grid(Encoding::kQ4_0, 32);
    grid.begin(w.data(), importance.data());
    grid.choose(w.data(), importance.data(), 0);
    double error = 0.0;
    for (int64_t c = 0; c < 32; ++c) {
      const auto i = static_cast<size_t>(c);
      const double difference = w[i] - grid.round(c, w[i]);
      error += h[i] * difference * difference;
    }
    return error;
  };
  EXPECT_LT(error_of(h), 0.5 * error_of(std::vector<double>(32, 1.0)));
}

}  // namespace
}  // namespace pare
