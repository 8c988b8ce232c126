// The optimiser against its formulas, written out in f64.
#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/parallel.h"
#include "base/rng.h"

namespace pare::test {
namespace {

constexpr int64_t kRows = 70;  // more than the pieces that are summed up side by side
constexpr int64_t kCols = 5;
constexpr int64_t kVector = 7;
constexpr double kUnits[] = {0.5, 2.0, 1.0};
constexpr double kRates[] = {0.02, 0.0005, 0.02};
constexpr size_t kSize = static_cast<size_t>(2 * kRows * kCols + kVector);

// A matrix that sets the damping, a table that does not, and a vector.
Optimizer some_optimizer() {
  return Optimizer({{0, kRows, kCols, kUnits[0], kRates[0]},
                    {kRows * kCols, kRows, kCols, kUnits[1], kRates[1], false},
                    {2 * kRows * kCols, 1, kVector, kUnits[2], kRates[2]}});
}

// Gradients of very different sizes in rows and columns; those of row 3 are zero.
std::vector<float> some_gradient(uint64_t seed) {
  Rng rng(seed);
  std::vector<float> gradient(kSize);
  for (size_t i = 0; i < kSize; ++i) {
    const auto r = static_cast<int64_t>(i) / kCols % kRows;
    const auto c = static_cast<int64_t>(i) % kCols;
    gradient[i] =
        r == 3 ? 0.0f : static_cast<float>(rng.normal() * std::exp(0.05 * static_cast<double>(r - 9 * c)));
  }
  return gradient;
}

struct Expected {
  std::vector<double> values = std::vector<double>(kSize, 1.0);
  std::vector<double> mean = std::vector<double>(kSize);
  std::vector<double> rows = std::vector<double>(2 * kRows);
  std::vector<double> columns = std::vector<double>(2 * kCols);
  std::vector<double> vector = std::vector<double>(kVector);

  double square(size_t matrix, int64_t r, int64_t c) const {
    double mean_of_rows = 0.0;
    for (int64_t i = 0; i < kRows; ++i) mean_of_rows += rows[matrix * kRows + static_cast<size_t>(i)] / kRows;
    return rows[matrix * kRows + static_cast<size_t>(r)] * columns[matrix * kCols + static_cast<size_t>(c)] /
           mean_of_rows;
  }

  void step(const std::vector<float>& gradient, int step, double schedule, double scale) {
    for (double& x : rows) x *= 0.95;
    for (double& x : columns) x *= 0.95;
    const auto g = [&](size_t i) { return scale * static_cast<double>(gradient[i]); };
    for (size_t i = 0; i < 2 * kRows * kCols; ++i) {
      rows[i / kCols] += 0.05 * g(i) * g(i) / kCols;
      columns[i / (kRows * kCols) * kCols + i % kCols] += 0.05 * g(i) * g(i) / kRows;
    }
    for (size_t i = 0; i < kVector; ++i)
      vector[i] = 0.95 * vector[i] + 0.05 * g(2 * kRows * kCols + i) * g(2 * kRows * kCols + i);
    double logarithms = 0.0;
    int count = 0;
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t c = 0; c < kCols; ++c)
        if (r != 3) {
          logarithms += std::log(square(0, r, c) * kUnits[0] * kUnits[0]);
          ++count;
        }
    const double typical = std::exp(logarithms / count);
    for (size_t i = 0; i < kSize; ++i) {
      const size_t tensor = i / (kRows * kCols);
      const auto at = static_cast<int64_t>(i % (kRows * kCols));
      const double unit = kUnits[tensor];
      const double v = tensor == 2 ? vector[static_cast<size_t>(at)] : square(tensor, at / kCols, at % kCols);
      const double bias = 1.0 - std::pow(0.95, step);
      mean[i] = 0.9 * mean[i] + 0.1 * g(i);
      // The formula holds for values in units, whose gradients are `unit` times as large.
      const double unbiased = unit * mean[i] / (1.0 - std::pow(0.9, step));
      const double curvature = unit * unit * v / bias + 0.2 * typical / bias;
      values[i] -= unit * kRates[tensor] * schedule * unbiased * std::sqrt(typical / bias) / curvature;
    }
  }
};

TEST(Optimizer, StepsAsItsFormulasSay) {
  Optimizer optimizer = some_optimizer();
  std::vector<float> values(kSize, 1.0f);
  std::vector<float> mean(kSize);
  Expected expected;
  for (int step = 1; step <= 3; ++step) {
    const std::vector<float> gradient = some_gradient(static_cast<uint64_t>(step));
    double squares = 0.0;
    for (const float g : gradient) squares += static_cast<double>(g) * static_cast<double>(g);
    EXPECT_NEAR(optimizer.observe(gradient), std::sqrt(squares), 1e-9 * std::sqrt(squares));
    optimizer.step(values, gradient, mean, step, 0.5, 0.25);
    expected.step(gradient, step, 0.5, 0.25);
    for (size_t i = 0; i < kSize; ++i)
      EXPECT_NEAR(values[i], expected.values[i], 1e-6) << "value " << i << " in step " << step;
  }
  EXPECT_EQ(values[3 * kCols], 1.0f);  // no gradient, no step
}

// The size of a loss does not matter, and the first step is hardly longer than the learning rate: at most
// 1 / (2 √0.2) of it.
TEST(Optimizer, StepsDoNotGrowWithTheGradient) {
  std::vector<float> small(kSize, 1.0f);
  std::vector<float> large(kSize, 1.0f);
  std::vector<float> mean(kSize);
  std::vector<float> gradient = some_gradient(1);
  Optimizer first = some_optimizer();
  first.observe(gradient);
  first.step(small, gradient, mean, 1, 1.0, 1.0);
  for (float& g : gradient) g *= 1024.0f;
  std::ranges::fill(mean, 0.0f);
  Optimizer second = some_optimizer();
  second.observe(gradient);
  second.step(large, gradient, mean, 1, 1.0, 1.0);
  EXPECT_EQ(small, large);
  for (size_t i = 2 * kRows * kCols; i < kSize; ++i) EXPECT_LE(std::abs(small[i] - 1.0f), 1.1181f * 0.02f);
}

TEST(Optimizer, GivesTheSameBitsOnAnyNumberOfThreads) {
  const auto run = [&](int threads) {
    const int before = thread_count();
    set_thread_count(threads);
    Optimizer optimizer = some_optimizer();
    std::vector<float> values(kSize, 1.0f);
    std::vector<float> mean(kSize);
    const std::vector<float> gradient = some_gradient(1);
    const double norm = optimizer.observe(gradient);
    optimizer.step(values, gradient, mean, 1, 1.0, 1.0 / norm);
    set_thread_count(before);
    values.push_back(static_cast<float>(norm));
    return values;
  };
  EXPECT_EQ(run(1), run(3));
}

TEST(Optimizer, DoesNothingBeforeThereIsAGradient) {
  Optimizer optimizer = some_optimizer();
  std::vector<float> values(kSize, 1.0f);
  std::vector<float> mean(kSize);
  const std::vector<float> zero(kSize);
  EXPECT_EQ(optimizer.observe(zero), 0.0);
  optimizer.step(values, zero, mean, 1, 1.0, 1.0);
  EXPECT_EQ(values, std::vector<float>(kSize, 1.0f));
}

TEST(Optimizer, ScheduleRisesAndFalls) {
  EXPECT_DOUBLE_EQ(cosine_schedule(1, 100, 10, 0.05), 0.1);
  EXPECT_DOUBLE_EQ(cosine_schedule(10, 100, 10, 0.05), 1.0);
  EXPECT_DOUBLE_EQ(cosine_schedule(55, 100, 10, 0.05), 0.525);
  EXPECT_DOUBLE_EQ(cosine_schedule(100, 100, 10, 0.05), 0.05);
}

}  // namespace
}  // namespace pare::test
