// Sweeps over the columns of a linear: every rule as if values were replaced one by one.
#include "compress/solve/obs.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compress/sparse_rows.h"

namespace pare::test {
namespace {

void expect_near(const Matrix<double>& got, const Matrix<double>& expected) {
  for (int64_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got.data()[i], expected.data()[i], 1e-8) << i;
}

double rounded(double value, double step) { return step * std::nearbyint(value / step); }

// GPTQ with a grid that is given: 160 columns are two blocks.
TEST(ObsSweep, RoundsToAGrid) {
  const Matrix<double> gram = random_gram(160, 3);
  const Matrix<double> weight = random_f64(3, 160, 4);
  const auto rule_of = [](int64_t r) {
    return [step = 0.2 + 0.1 * static_cast<double>(r)](const double* w, int64_t c, double& value) {
      value = rounded(w[c], step);
      return true;
    };
  };
  const ObsFactor factor(gram.view());
  Matrix<double> got = weight.clone();
  obs_sweep(factor, 1, rule_of, got);
  expect_near(got, replaced_one_by_one(weight, gram, rule_of));
  const auto error = [&](const Matrix<double>& values) {
    const Matrix<double> e = [&] {
      Matrix<double> d(3, 160);
      for (int64_t i = 0; i < d.size(); ++i) d.data()[i] = values.data()[i] - weight.data()[i];
      return d;
    }();
    const Matrix<double> product = matmul(e.view(), gram.view());
    double sum = 0.0;
    for (int64_t i = 0; i < e.size(); ++i) sum += e.data()[i] * product.data()[i];
    return sum;
  };
  Matrix<double> nearest(3, 160);
  for (int64_t r = 0; r < 3; ++r)
    for (int64_t c = 0; c < 160; ++c)
      nearest(r, c) = rounded(weight(r, c), 0.2 + 0.1 * static_cast<double>(r));
  EXPECT_LT(error(got), 0.5 * error(nearest));
}

TEST(ObsSweep, DeletesByAMaskAndRoundsTheRest) {
  const Matrix<double> gram = random_gram(160, 5);
  const Matrix<double> weight = random_f64(2, 160, 6);
  const Mask mask = best_mask(weight.view(), {2, 4});
  const auto rule_of = [&](int64_t r) {
    return [&mask, r](const double* w, int64_t c, double& value) {
      value = mask.keeps(r, c) ? rounded(w[c], 0.25) : 0.0;
      return true;
    };
  };
  Matrix<double> got = weight.clone();
  obs_sweep(ObsFactor(gram.view()), 4, rule_of, got);
  expect_near(got, replaced_one_by_one(weight, gram, rule_of));
  EXPECT_TRUE(follows(got, mask));
}

// A grid that is chosen when the sweep comes to its columns must see all of them up to date, also where they
// reach over what would be the end of a block: 48 does not divide 128, 160 is more.
TEST(ObsSweep, ARuleMayLookAheadToTheEndOfItsColumns) {
  for (const int64_t together : {48, 160}) {
    const Matrix<double> gram = random_gram(192, 7);
    const Matrix<double> weight = random_f64(2, 192, 8);
    std::vector<double> steps(2);
    const auto rule_of = [&](int64_t r) {
      return [together, &step = steps[static_cast<size_t>(r)]](const double* w, int64_t c, double& value) {
        if (c % together == 0) {
          double sum = 0.0;
          const int64_t end = std::min<int64_t>(192, c + together);
          for (int64_t i = c; i < end; ++i) sum += std::abs(w[i]);
          step = sum / static_cast<double>(4 * (end - c));
        }
        value = rounded(w[c], step);
        return true;
      };
    };
    Matrix<double> got = weight.clone();
    obs_sweep(ObsFactor(gram.view()), together, rule_of, got);
    expect_near(got, replaced_one_by_one(weight, gram, rule_of));
  }
}

}  // namespace
}  // namespace pare::test
