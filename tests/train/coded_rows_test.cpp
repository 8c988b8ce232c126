// Training through rounding to codes.
#include "train/coded_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "tensor/row_grid.h"

namespace pare::test {
namespace {

constexpr int64_t kRows = 5;
constexpr int64_t kCols = 512;

std::vector<Encoding> trained_encodings() {
  std::vector<Encoding> encodings;
  for (const Encoding encoding : all_encodings())
    if (can_round_to(encoding)) encodings.push_back(encoding);
  return encodings;
}

Matrix<float> random_values(int64_t rows, int64_t cols, double deviation, uint64_t seed) {
  Matrix<float> m(rows, cols);
  Rng rng(seed);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = static_cast<float>(deviation * rng.normal());
  return m;
}

Weight rounded_weight(Encoding encoding, const Matrix<float>& values) {
  return Weight::from_matrix(values.view(), encoding);
}

bool same_bytes(const Weight& a, const Weight& b) {
  const auto x = a.parts().front();
  const auto y = b.parts().front();
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size()) == 0;
}

TEST(CodedRows, BeginsWithTheCodesThatAreThere) {
  for (const Encoding encoding : trained_encodings()) {
    SCOPED_TRACE(encoding_info(encoding).name);
    const Matrix<float> values = random_values(kRows, kCols, 0.1, 1);
    const CodedRows rows(rounded_weight(encoding, values));
    const Matrix<float> zeros = Matrix<float>::zeros(kRows, rows.scales());
    // Values that have nothing to do with the codes may not change them either.
    for (const Matrix<float>& origin :
         {values.clone(), random_values(kRows, kCols, 0.5, 2), Matrix<float>()}) {
      Matrix<float> latent(kRows, kCols);
      rows.begin(origin.empty() ? MatrixView<const float>() : origin.view(), latent.view());
      EXPECT_TRUE(same_bytes(rows.rounded(std::as_const(latent).view(), zeros.view()), rows.start()));
    }
  }
}

// A scale that leaves what the format holds is its last one, however far it is.
TEST(CodedRows, KeepsScalesInRange) {
  for (const Encoding encoding : trained_encodings()) {
    SCOPED_TRACE(encoding_info(encoding).name);
    const Matrix<float> values = random_values(kRows, kCols, 0.1, 1);
    const CodedRows rows(rounded_weight(encoding, values));
    const auto scaled = [&](float log) {
      Matrix<float> logs = Matrix<float>::zeros(kRows, rows.scales());
      std::fill_n(logs.data(), logs.size(), log);
      return rows.rounded(values.view(), std::as_const(logs).view());
    };
    EXPECT_TRUE(same_bytes(scaled(200.0f), scaled(20.0f)));
  }
}

// Latent values that move far enough change codes; each is rounded to the nearest.
TEST(CodedRows, RoundsToTheNearestCode) {
  for (const Encoding encoding : trained_encodings()) {
    SCOPED_TRACE(encoding_info(encoding).name);
    const CodedRows rows(rounded_weight(encoding, random_values(kRows, kCols, 0.1, 1)));
    const Matrix<float> zeros = Matrix<float>::zeros(kRows, rows.scales());
    const Matrix<float> latent = random_values(kRows, kCols, 0.1, 3);
    const Matrix<float> got = decode(rows.rounded(latent.view(), zeros.view()));
    const CodeLayout& layout = *code_layout(encoding);
    for (int64_t r = 0; r < kRows; ++r) {
      RowCodes codes;
      take_row_codes(encoding, rows.start().data + r * row_bytes(encoding, kCols), kCols, codes);
      for (int64_t c = 0; c < kCols; c += 3) {
        // The same row with every other code in this column: none is nearer.
        double least = INFINITY;
        for (int32_t code = 0; code < 1 << layout.bits; ++code) {
          codes.codes[static_cast<size_t>(c)] = static_cast<uint8_t>(code);
          std::vector<std::byte> bytes(static_cast<size_t>(row_bytes(encoding, kCols)));
          put_row_codes(encoding, codes, bytes.data());
          std::vector<float> decoded(static_cast<size_t>(kCols));
          decode_values(encoding, bytes.data(), kCols, decoded.data());
          least =
              std::min(least, std::abs(static_cast<double>(decoded[static_cast<size_t>(c)]) - latent(r, c)));
        }
        EXPECT_LE(std::abs(static_cast<double>(got(r, c)) - latent(r, c)), least + 1e-5) << r << " " << c;
      }
    }
  }
}

// With codes that do not change, the derivative by a scale is that of what it multiplies.
TEST(CodedRows, GradientOfScalesEqualsDifferences) {
  const Encoding encoding = Encoding::kIQ4_NL;
  const CodedRows rows(rounded_weight(encoding, random_values(kRows, kCols, 0.1, 1)));
  Matrix<float> latent(kRows, kCols);
  rows.begin({}, latent.view());
  Matrix<float> log_scales = Matrix<float>::zeros(kRows, rows.scales());
  const Matrix<float> dy = random_values(kRows, kCols, 1.0, 4);
  Matrix<float> gradient = dy.clone();
  Matrix<float> log_gradient = Matrix<float>::zeros(kRows, rows.scales());
  rows.adjoint(std::as_const(latent).view(), std::as_const(log_scales).view(), gradient.view(),
               log_gradient.view());
  // Latent values on their codes: all that a scale does is take the values away from them, so that its
  // gradient is dy times (level − latent/scale), zero here, and dy passes as it is.
  for (int64_t i = 0; i < dy.size(); ++i) EXPECT_EQ(gradient.data()[i], dy.data()[i]);
  for (int64_t i = 0; i < log_gradient.size(); ++i) EXPECT_NEAR(log_gradient.data()[i], 0.0, 1e-4);
  // Beyond the levels nothing passes, and the scale takes all.
  for (int64_t c = 0; c < 32; ++c) latent(0, c) = c % 2 == 0 ? 9.0f : -9.0f;
  const auto loss = [&](double change) {
    log_scales(0, 0) = static_cast<float>(change);
    const Matrix<float> values =
        decode(rows.rounded(std::as_const(latent).view(), std::as_const(log_scales).view()));
    double sum = 0.0;
    for (int64_t c = 0; c < 32; ++c) sum += static_cast<double>(dy(0, c)) * values(0, c);
    return sum;
  };
  const double expected = (loss(0.1) - loss(-0.1)) / 0.2;
  log_scales(0, 0) = 0.0f;
  gradient = dy.clone();
  log_gradient = Matrix<float>::zeros(kRows, rows.scales());
  rows.adjoint(std::as_const(latent).view(), std::as_const(log_scales).view(), gradient.view(),
               log_gradient.view());
  for (int64_t c = 0; c < 32; ++c) EXPECT_EQ(gradient(0, c), 0.0f);
  EXPECT_NEAR(log_gradient(0, 0), expected, 0.01 * std::abs(expected) + 1e-4);
}

TEST(CodedRows, ScalesStayOfTheirSignAndInTheirRange) {
  for (const Encoding encoding : trained_encodings()) {
    SCOPED_TRACE(encoding_info(encoding).name);
    const CodedRows rows(rounded_weight(encoding, random_values(kRows, kCols, 0.1, 1)));
    Matrix<float> latent(kRows, kCols);
    rows.begin({}, latent.view());
    for (const float change : {-20.0f, 3.0f}) {
      Matrix<float> log_scales(kRows, rows.scales());
      std::fill_n(log_scales.data(), log_scales.size(), change);
      const Weight moved = rows.rounded(std::as_const(latent).view(), std::as_const(log_scales).view());
      EXPECT_TRUE(all_finite(moved));
      RowCodes before;
      RowCodes after;
      take_row_codes(encoding, rows.start().data, kCols, before);
      take_row_codes(encoding, moved.data, kCols, after);
      for (size_t b = 0; b < before.scales.size(); ++b) {
        EXPECT_EQ(before.scales[b] > 0, after.scales[b] > 0);
        EXPECT_EQ(before.scales[b] < 0, after.scales[b] < 0);
      }
    }
  }
}

}  // namespace
}  // namespace pare::test
