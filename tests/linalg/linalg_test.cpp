#include "linalg/linalg.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/parallel.h"
#include "base/rng.h"
#include "support/expect_error.h"

namespace pare {
namespace {

constexpr double kEps = 0x1p-53;

struct Shape {
  int64_t rows, cols;
};
struct GemmShape {
  int64_t m, n, k;
};

template <typename T>
Matrix<T> random_matrix(int64_t rows, int64_t cols, uint64_t seed) {
  Matrix<T> m(rows, cols);
  Rng rng(seed);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = static_cast<T>(rng.normal());
  return m;
}

// Integers, so that every sum is exact in f64.
template <typename T>
Matrix<T> integer_matrix(int64_t rows, int64_t cols, uint64_t seed) {
  Matrix<T> m(rows, cols);
  Rng rng(seed);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = static_cast<T>(static_cast<int>(rng.below(17)) - 8);
  return m;
}

Matrix<double> random_spd(int64_t n, uint64_t seed) {
  const auto x = random_matrix<double>(2 * n, n, seed);
  return matmul_tn(x.view(), x.view());
}

double frobenius(const Matrix<double>& m) {
  double sum = 0.0;
  for (int64_t i = 0; i < m.size(); ++i) sum += m.data()[i] * m.data()[i];
  return std::sqrt(sum);
}

double max_difference(const Matrix<double>& a, const Matrix<double>& b) {
  double worst = 0.0;
  for (int64_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a.data()[i] - b.data()[i]));
  return worst;
}

bool same_bits(const Matrix<double>& a, const Matrix<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * 8) == 0;
}

// Runs with one and with two threads and expects the same bits.
template <typename Run>
void expect_thread_independent(Run run) {
  const int before = thread_count();
  set_thread_count(1);
  const Matrix<double> one = run();
  set_thread_count(2);
  const Matrix<double> two = run();
  set_thread_count(before);
  EXPECT_TRUE(same_bits(one, two));
}

TEST(Gemm, ExactOnIntegersForEveryTransposition) {
  for (const auto& [m, n, k] : {GemmShape{1, 1, 1}, {3, 17, 65}, {257, 513, 33}, {300, 5, 1000}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        SCOPED_TRACE(testing::Message() << m << " " << n << " " << k << " " << ta << tb);
        const auto a = ta ? integer_matrix<double>(k, m, 1) : integer_matrix<double>(m, k, 1);
        const auto b = tb ? integer_matrix<double>(n, k, 2) : integer_matrix<double>(k, n, 2);
        auto c = integer_matrix<double>(m, n, 3);
        const auto c0 = c.clone();
        gemm(ta, tb, 2.0, a.view(), b.view(), 3.0, c.view());
        for (int64_t i = 0; i < m; ++i)
          for (int64_t j = 0; j < n; ++j) {
            double sum = 0.0;
            for (int64_t l = 0; l < k; ++l) sum += (ta ? a(l, i) : a(i, l)) * (tb ? b(j, l) : b(l, j));
            ASSERT_EQ(c(i, j), 2.0 * sum + 3.0 * c0(i, j)) << i << ", " << j;
          }
      }
}

TEST(Gemm, WorksOnBlocksOfLargerMatrices) {
  const auto a = integer_matrix<double>(20, 30, 1);
  auto c = Matrix<double>::zeros(10, 10);
  gemm(false, true, 1.0, a.view().block(2, 3, 4, 5), a.view().block(7, 8, 6, 5), 0.0,
       c.view().block(1, 2, 4, 6));
  double total = 0.0;
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t j = 0; j < 6; ++j) {
      double sum = 0.0;
      for (int64_t l = 0; l < 5; ++l) sum += a(2 + i, 3 + l) * a(7 + j, 8 + l);
      EXPECT_EQ(c(1 + i, 2 + j), sum);
      total += std::abs(sum);
    }
  for (int64_t i = 0; i < c.size(); ++i) total -= std::abs(c.data()[i]);
  EXPECT_EQ(total, 0.0) << "written outside the block";
}

TEST(Gemm, ThreadsDoNotChangeResults) {
  const auto a = random_matrix<double>(530, 300, 1);
  const auto b = random_matrix<double>(300, 1100, 2);
  expect_thread_independent([&] { return matmul(a.view(), b.view()); });
  expect_thread_independent([&] { return matmul_nt(a.view(), a.view()); });
  expect_thread_independent([&] { return matmul_tn(a.view(), a.view()); });
}

TEST(Gram, ExactOnIntegers) {
  for (const auto [tokens, n] : {Shape{1, 1}, {3, 17}, {513, 65}, {1100, 300}, {40, 600}})
    for (const bool weighted : {false, true}) {
      SCOPED_TRACE(testing::Message() << tokens << " x " << n << " weighted " << weighted);
      const auto x = integer_matrix<float>(tokens, n, 1);
      const auto w = integer_matrix<double>(tokens, 1, 2);  // negative weights are allowed too
      auto h = Matrix<double>::zeros(n, n);
      for (int64_t i = 0; i < n; ++i) h(i, i) = 5.0;
      gram_accumulate_f32(x.view(), weighted ? w.data() : nullptr, h.view());
      mirror_lower(h.view());
      auto expected = Matrix<double>::zeros(n, n);
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t i = 0; i < n; ++i)
          for (int64_t j = 0; j < n; ++j)
            expected(i, j) +=
                (weighted ? w(t, 0) : 1.0) * static_cast<double>(x(t, i)) * static_cast<double>(x(t, j));
      for (int64_t i = 0; i < n; ++i) expected(i, i) += 5.0;
      EXPECT_EQ(max_difference(h, expected), 0.0);
    }
}

TEST(Gram, CrossIsExactOnIntegers) {
  for (const bool weighted : {false, true}) {
    const auto x = integer_matrix<float>(700, 300, 1);
    const auto y = integer_matrix<float>(700, 33, 2);
    const auto w = integer_matrix<double>(700, 1, 3);
    auto c = Matrix<double>::zeros(300, 33);
    c(299, 32) = 2.0;
    cross_accumulate_f32(x.view(), y.view(), weighted ? w.data() : nullptr, c.view());
    auto expected = Matrix<double>::zeros(300, 33);
    expected(299, 32) = 2.0;
    for (int64_t t = 0; t < 700; ++t)
      for (int64_t i = 0; i < 300; ++i)
        for (int64_t j = 0; j < 33; ++j)
          expected(i, j) +=
              (weighted ? w(t, 0) : 1.0) * static_cast<double>(x(t, i)) * static_cast<double>(y(t, j));
    EXPECT_EQ(max_difference(c, expected), 0.0);
  }
}

TEST(Gram, ThreadsDoNotChangeResults) {
  const auto x = random_matrix<float>(1300, 520, 1);
  const auto y = random_matrix<float>(1300, 70, 2);
  expect_thread_independent([&] {
    auto h = Matrix<double>::zeros(520, 520);
    gram_accumulate_f32(x.view(), nullptr, h.view());
    mirror_lower(h.view());
    return h;
  });
  expect_thread_independent([&] {
    auto c = Matrix<double>::zeros(520, 70);
    cross_accumulate_f32(x.view(), y.view(), nullptr, c.view());
    return c;
  });
}

TEST(Eigh, ResidualOrthogonalityOrderAndSign) {
  for (const int64_t n : {1, 2, 17, 64, 150}) {
    SCOPED_TRACE(n);
    auto a = random_matrix<double>(n, n, 4);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < i; ++j) a(j, i) = a(i, j);
    const Eigen eigen = eigh(a.view());
    const double scale = frobenius(a);
    // Backward stability: both errors are a modest multiple of n · eps.
    const double tolerance = 10.0 * static_cast<double>(n) * kEps;
    auto av = matmul(a.view(), eigen.vectors.view());
    for (int64_t i = 0; i < n; ++i)
      for (int64_t r = 0; r < n; ++r) av(r, i) -= eigen.vectors(r, i) * eigen.values[static_cast<size_t>(i)];
    EXPECT_LE(frobenius(av), tolerance * scale);
    EXPECT_LE(
        max_difference(matmul_tn(eigen.vectors.view(), eigen.vectors.view()), Matrix<double>::identity(n)),
        tolerance);
    EXPECT_TRUE(std::is_sorted(eigen.values.rbegin(), eigen.values.rend()));
    for (int64_t i = 0; i < n; ++i) {
      double largest = 0.0;
      for (int64_t r = 0; r < n; ++r)
        if (std::abs(eigen.vectors(r, i)) > std::abs(largest)) largest = eigen.vectors(r, i);
      EXPECT_GT(largest, 0.0);
    }
  }
}

TEST(Eigh, ReadsOnlyTheLowerTriangle) {
  auto a = random_spd(20, 5);
  const Eigen expected = eigh(a.view());
  for (int64_t i = 0; i < 20; ++i)
    for (int64_t j = i + 1; j < 20; ++j) a(i, j) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(same_bits(eigh(a.view()).vectors, expected.vectors));
}

TEST(Eigh, ThreadsDoNotChangeResults) {
  const auto a = random_spd(200, 6);
  expect_thread_independent([&] { return eigh(a.view()).vectors; });
}

TEST(Eigh, NanAndInfinityAreErrors) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    auto a = Matrix<double>::identity(5);
    a(3, 1) = bad;
    EXPECT_PARE_ERROR(eigh(a.view()), ErrorCode::kNumeric, "(3, 1)");
  }
}

TEST(SolveSpd, SolvesFromTheRight) {
  for (const auto& [n, m] : {Shape{1, 1}, {33, 7}, {120, 200}}) {
    const auto a = random_spd(n, 7);
    const auto x = random_matrix<double>(m, n, 8);
    const auto b = matmul(x.view(), a.view());
    int raised = -1;
    const auto solved = solve_spd_right(a.view(), b.view(), &raised);
    EXPECT_EQ(raised, 0);
    auto residual = matmul(solved.view(), a.view());
    for (int64_t i = 0; i < b.size(); ++i) residual.data()[i] -= b.data()[i];
    EXPECT_LE(frobenius(residual), 20.0 * static_cast<double>(n) * kEps * frobenius(a) * frobenius(solved));
  }
}

TEST(SolveSpd, RaisesTheDiagonalOfASingularMatrixAndCounts) {
  auto a = Matrix<double>::zeros(4, 4);
  a(0, 0) = a(1, 1) = 4.0;  // rank 2
  auto b = Matrix<double>::zeros(1, 4);
  b(0, 0) = 8.0;
  int raised = 0;
  const auto x = solve_spd_right(a.view(), b.view(), &raised);
  EXPECT_EQ(raised, 1);
  EXPECT_NEAR(x(0, 0), 2.0, 1e-8);
  EXPECT_EQ(x(0, 3), 0.0);
}

TEST(SolveSpd, IndefiniteOrNotFiniteIsAnError) {
  auto a = Matrix<double>::identity(3);
  a(2, 2) = -1000.0;
  const auto b = Matrix<double>::identity(3);
  EXPECT_PARE_ERROR(solve_spd_right(a.view(), b.view()), ErrorCode::kNumeric, "3 x 3");
  a(2, 2) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_PARE_ERROR(solve_spd_right(a.view(), b.view()), ErrorCode::kNumeric, "nan");
}

TEST(SolveSpd, ThreadsDoNotChangeResults) {
  const auto a = random_spd(150, 9);
  const auto b = random_matrix<double>(300, 150, 10);
  expect_thread_independent([&] { return solve_spd_right(a.view(), b.view()); });
}

TEST(RandomOrthogonal, OrthogonalAndSeeded) {
  for (const int64_t n : {1, 5, 130}) {
    const auto q = random_orthogonal(n, 42);
    EXPECT_LE(max_difference(matmul_nt(q.view(), q.view()), Matrix<double>::identity(n)),
              10.0 * static_cast<double>(n) * kEps);
    EXPECT_TRUE(same_bits(q, random_orthogonal(n, 42)));
    EXPECT_EQ(same_bits(q, random_orthogonal(n, 44)), n == 1 && q(0, 0) == random_orthogonal(1, 44)(0, 0));
  }
}

// Haar: an entry has mean 0 and variance 1 / n. Without fixed signs the diagonal would be biased.
TEST(RandomOrthogonal, TraceHasTheMomentsOfHaarMeasure) {
  constexpr int kSamples = 400;
  double sum = 0.0;
  double squares = 0.0;
  for (int i = 0; i < kSamples; ++i) {
    const auto q = random_orthogonal(8, static_cast<uint64_t>(i));
    double trace = 0.0;
    for (int64_t j = 0; j < 8; ++j) trace += q(j, j);
    sum += trace;
    squares += trace * trace;
  }
  // The trace of a Haar orthogonal matrix has mean 0 and variance 1: four standard errors.
  EXPECT_NEAR(sum / kSamples, 0.0, 4.0 / std::sqrt(kSamples));
  EXPECT_NEAR(squares / kSamples, 1.0, 4.0 * std::sqrt(2.0 / kSamples));
}

}  // namespace
}  // namespace pare
