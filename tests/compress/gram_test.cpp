// Sums of products of activations, on tiles and without.
#include "compress/solve/gram.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "compress/calibrated.h"

namespace pare::test {
namespace {

Matrix<float> random_f32(int64_t rows, int64_t cols, uint64_t seed) {
  Matrix<float> m(rows, cols);
  Rng rng(seed);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c)
      m(r, c) = static_cast<float>(rng.normal() * (c % 7 == 0 ? 100.0 : 1.0));  // channels of unlike size
  return m;
}

// Compares sums. The tolerance is a share of Σ |a·b| of what an entry sums up.
void expect_sums(MatrixView<const float> x, MatrixView<const float> y, const double* weights, double before,
                 MatrixView<const double> got) {
  const double share = 3 * 0x1p-18;  // lost by two rests, and by rounding each
  for (int64_t i = 0; i < x.cols; ++i)
    for (int64_t j = 0; j < y.cols; ++j) {
      double sum = before;
      double magnitude = 0.0;
      for (int64_t t = 0; t < x.rows; ++t) {
        const double product = (weights == nullptr ? 1.0 : weights[t]) * x(t, i) * y(t, j);
        sum += product;
        magnitude += std::abs(product);
      }
      ASSERT_NEAR(got(i, j), sum, magnitude * (share + static_cast<double>(3 * x.rows + 2) * 0x1p-24))
          << i << " " << j;
    }
}

TEST(GramAccumulate, AddsProductsOfActivations) {
  for (const int64_t tokens : {1, 63, 70, 600})
    for (const int64_t channels : {5, 64, 300, 1100}) {
      if (tokens * channels > 200000) continue;
      SCOPED_TRACE(std::to_string(tokens) + " x " + std::to_string(channels));
      const Matrix<float> x = random_f32(tokens, channels, 1);
      const Matrix<float> y = random_f32(tokens, channels == 1100 ? 1030 : channels / 2 + 40, 2);
      std::vector<double> weights;
      for (int64_t t = 0; t < tokens; ++t) weights.push_back(0.25 + static_cast<double>(t % 5));
      for (const double* w :
           {static_cast<const double*>(nullptr), static_cast<const double*>(weights.data())}) {
        Matrix<double> h(channels, channels);
        std::fill_n(h.data(), h.size(), 3.0);
        gram_accumulate(x.view(), w, h.view());
        mirror_lower(h.view());
        expect_sums(x.view(), x.view(), w, 3.0, std::as_const(h).view());
        Matrix<double> c(channels, y.cols());
        std::fill_n(c.data(), c.size(), -2.0);
        cross_accumulate(x.view(), y.view(), w, c.view());
        expect_sums(x.view(), y.view(), w, -2.0, std::as_const(c).view());
      }
    }
}

TEST(GramInnerProduct, SumsTheQuadraticFormsOfRows) {
  for (const int64_t rows : {1, 40, 530})
    for (const int64_t n : {7, 100, 300}) {
      SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(n));
      const Matrix<float> x = random_f32(rows, n, 5);
      Matrix<double> h(n, n);
      Rng rng(6);
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j <= i; ++j) h(i, j) = h(j, i) = rng.normal();
      double sum = 0.0;
      double magnitude = 0.0;
      for (int64_t t = 0; t < rows; ++t)
        for (int64_t i = 0; i < n; ++i)
          for (int64_t j = 0; j < n; ++j) {
            const double term = static_cast<double>(x(t, i)) * x(t, j) * h(i, j);
            sum += term;
            magnitude += std::abs(term);
          }
      EXPECT_NEAR(gram_inner_product(x.view(), std::as_const(h).view()), sum,
                  magnitude * (3 * 0x1p-18 + static_cast<double>(3 * rows + 2) * 0x1p-24));
    }
}

TEST(GramAccumulate, SameBitsForEveryThreadCount) {
  const Matrix<float> x = random_f32(520, 1030, 3);
  std::vector<Matrix<double>> sums;
  for (const int threads : {1, 3}) {
    const WithThreads scope(threads);
    sums.push_back(Matrix<double>::zeros(1030, 1030));
    gram_accumulate(x.view(), nullptr, sums.back().view());
    mirror_lower(sums.back().view());
  }
  EXPECT_TRUE(std::equal(sums[0].data(), sums[0].data() + sums[0].size(), sums[1].data()));
}

}  // namespace
}  // namespace pare::test
