// What tests of backends share: every instruction set beside the reference backend.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/rng.h"
#include "isas.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/reference/reference_backend.h"

namespace pare::test {

inline constexpr double kUlp = 0x1p-24;
inline constexpr int64_t kRaggedSizes[] = {1, 2, 3, 7, 15, 16, 17, 33, 64, 65, 100};

inline Matrix<float> random_rows(int64_t rows, int64_t cols, uint64_t seed, double deviation = 1.0) {
  Matrix<float> m(rows, cols);
  Rng rng(seed);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = static_cast<float>(deviation * rng.normal());
  return m;
}

inline Weight weight_of(const Matrix<float>& values, Encoding encoding = Encoding::kF32) {
  return Weight::from_matrix(values.view(), encoding);
}

inline double largest_of(MatrixView<const float> x) {
  double largest = 0.0;
  for (int64_t r = 0; r < x.rows; ++r)
    for (int64_t c = 0; c < x.cols; ++c) largest = std::max(largest, std::abs(static_cast<double>(x(r, c))));
  return largest;
}

// |got − expected| <= tolerance · the largest expected value.
inline void expect_near(const Matrix<float>& got, const Matrix<float>& expected, double tolerance) {
  ASSERT_EQ(got.rows(), expected.rows());
  ASSERT_EQ(got.cols(), expected.cols());
  const double bound = tolerance * largest_of(expected.view()) + 1e-30;
  for (int64_t r = 0; r < got.rows(); ++r)
    for (int64_t c = 0; c < got.cols(); ++c) ASSERT_NEAR(got(r, c), expected(r, c), bound) << r << " " << c;
}

class BackendTest : public ::testing::Test {
 protected:
  // Runs `compute` on the reference backend and on every other one; the results agree within `tolerance`,
  // relative to the largest value.
  template <typename Compute>
  void compare(double tolerance, Compute&& compute) {
    const Matrix<float> expected = compute(reference_);
    for (const Isa isa : isas()) {
      SCOPED_TRACE(std::string(isa_name(isa)));
      expect_near(compute(CpuBackend(isa)), expected, tolerance);
    }
  }

  ReferenceBackend reference_;
};

}  // namespace pare::test
