// Masks, scores, updates and refinements of a single linear.
#include <gtest/gtest.h>

#include <cmath>

#include "compress/solve/obs.h"
#include "compress/solve/refine.h"
#include "compress/sparse_rows.h"
#include "compress/sparsify/prune.h"

namespace pare::test {
namespace {

constexpr Pattern kPatterns[] = {{1, 2}, {2, 4}, {4, 8}, {1, 4}, {2, 8}, {6, 8}, {3, 5}, {16, 32}};

// A size that every pattern above divides.
constexpr int64_t kColumns = 160;

ChannelStatistics statistics_of(const Matrix<double>& gram) {
  ChannelStatistics statistics;
  statistics.tokens = 640;
  for (int64_t i = 0; i < gram.rows(); ++i) {
    statistics.square_sums.push_back(gram(i, i));
    statistics.entropies.push_back(1.0 + static_cast<double>(i % 3));
  }
  return statistics;
}

TEST(Mask, KeepsTheLargestAndTheLastOfEqualScores) {
  const double scores[] = {1.0, 3.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0};
  EXPECT_EQ(best_of_group(scores, {2, 4}), 0b1010u);
  EXPECT_EQ(best_of_group(scores, {1, 4}), 0b1000u);
  EXPECT_EQ(best_of_group(scores + 4, {2, 4}), 0b1100u);
  EXPECT_EQ(best_of_group(scores, {6, 8}), 0b11001111u);
}

TEST(Scores, FollowTheirFormulas) {
  Matrix<double> weight(2, 4);
  const double values[] = {1, -2, 3, -4, 2, 2, 0, 4};
  std::copy_n(values, 8, weight.data());
  ChannelStatistics statistics;
  statistics.tokens = 4;
  statistics.square_sums = {4, 16, 36, 64};  // norms 2, 4, 6, 8
  statistics.entropies = {0.5, 1.0, 1.5, 2.0};
  ScoreOptions ria;
  ria.method = SparseMethod::kRia;
  measure_weights(Weight::from_matrix(std::as_const(weight).view()), ria, statistics);
  const auto score = [&](SparseMethod method, int64_t r, int64_t c, ScoreOptions options = {}) {
    options.method = method;
    return weight_scores(weight.view(), statistics, options)(r, c);
  };
  EXPECT_DOUBLE_EQ(score(SparseMethod::kMagnitude, 0, 3), 4.0);
  EXPECT_DOUBLE_EQ(score(SparseMethod::kWanda, 0, 1), 8.0);
  EXPECT_DOUBLE_EQ(score(SparseMethod::kRia, 0, 1), (2.0 / 10.0 + 2.0 / 4.0) * 2.0);
  ScoreOptions options;
  options.alpha = 0.5;
  options.norm = NormScale::kSum;
  EXPECT_DOUBLE_EQ(score(SparseMethod::kEsparse, 0, 2, options), 3.0 * (1.5 + 0.5 * 6.0));
  options.norm = NormScale::kRms;
  EXPECT_DOUBLE_EQ(score(SparseMethod::kEsparse, 0, 2, options), 3.0 * (1.5 + 0.5 * 3.0));
  options.norm = NormScale::kRelative;
  EXPECT_DOUBLE_EQ(score(SparseMethod::kEsparse, 0, 2, options), 3.0 * (1.5 + 0.5 * 6.0 / 5.0));
}

TEST(ChannelEntropies, AreThoseOfTheHistogram) {
  Matrix<float> x(8, 3);
  for (int64_t t = 0; t < 8; ++t) {
    x(t, 0) = static_cast<float>(t);  // one value a bin
    x(t, 1) = 7.0f;                   // constant
    x(t, 2) = t < 2 ? -1.0f : 1.0f;   // a quarter and three
  }
  const std::vector<double> entropies = channel_entropies(std::as_const(x).view(), 8);
  EXPECT_NEAR(entropies[0], std::log(8.0), 1e-12);
  EXPECT_EQ(entropies[1], 0.0);
  EXPECT_NEAR(entropies[2], -(0.25 * std::log(0.25) + 0.75 * std::log(0.75)), 1e-12);
}

TEST(ObsFactor, IsTheCholeskyFactorOfTheInverse) {
  const Matrix<double> gram = random_gram(24, 3);
  const ObsFactor factor(gram.view());
  const Matrix<double> inverse = matmul_tn(factor.upper(), factor.upper());
  const Matrix<double> identity = matmul(inverse.view(), gram.view());
  for (int64_t r = 0; r < 24; ++r)
    for (int64_t c = 0; c < 24; ++c) {
      EXPECT_NEAR(identity(r, c), r == c ? 1.0 : 0.0, 1e-9);
      if (c < r) {
        EXPECT_EQ(factor.upper()(r, c), 0.0);
      }
    }
}

// Greedy deletion one column at a time with an explicit inverse (SparseGPT, equation 3).
Matrix<double> deleted_one_by_one(const Matrix<double>& weight, const Matrix<double>& gram,
                                  const Mask& mask) {
  return replaced_one_by_one(weight, gram, [&](int64_t r) {
    return [&mask, r](const double* /*row*/, int64_t c, double& value) {
      value = 0.0;
      return !mask.keeps(r, c);
    };
  });
}

TEST(SparseGpt, UpdatesAsDeletionOneByOneDoes) {
  const Matrix<double> gram = random_gram(40, 5);
  const Matrix<double> weight = random_f64(3, 40, 6);
  for (const Pattern pattern : {Pattern{2, 4}, Pattern{3, 5}}) {
    const ObsFactor factor(gram.view());
    Matrix<double> chosen = weight.clone();
    const Mask mask = sparsegpt(factor, pattern, chosen);
    EXPECT_TRUE(follows(chosen, mask));
    Matrix<double> updated = weight.clone();
    obs_update(factor, mask, updated);
    const Matrix<double> expected = deleted_one_by_one(weight, gram, mask);
    for (int64_t i = 0; i < updated.size(); ++i) {
      EXPECT_NEAR(updated.data()[i], expected.data()[i], 1e-9);
      EXPECT_EQ(updated.data()[i], chosen.data()[i]);
    }
  }
}

// Columns past one block of 128 are updated by a product: the result must not show where blocks end.
TEST(SparseGpt, BlocksOfColumnsDoNotShow) {
  const Matrix<double> gram = random_gram(kColumns, 7);
  const Matrix<double> weight = random_f64(2, kColumns, 8);
  Matrix<double> chosen = weight.clone();
  const Mask mask = sparsegpt(ObsFactor(gram.view()), {2, 4}, chosen);
  const Matrix<double> expected = deleted_one_by_one(weight, gram, mask);
  for (int64_t i = 0; i < chosen.size(); ++i) EXPECT_NEAR(chosen.data()[i], expected.data()[i], 1e-8);
}

TEST(FloatProduct, IsAsExactAsTwoBf16PartsOfEachFactor) {
  for (const int64_t rows : {1, 7, 40}) {
    const int64_t n = 129;
    const Matrix<double> m = random_f64(n, n, 5);
    const Matrix<double> x = random_f64(rows, n, 6);
    FloatProduct product(m.view());
    Matrix<double> y(rows, n);
    product.apply(x, y);
    const Matrix<double> expected = matmul_nt(x.view(), m.view());
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < n; ++c) {
        double magnitude =
            0.0;  // Σ |x|·|m|: each factor's rest is at most 2⁻⁹ of it, what that leaves 2⁻⁹ again
        for (int64_t k = 0; k < n; ++k) magnitude += std::abs(x(r, k) * m(c, k));
        EXPECT_NEAR(y(r, c), expected(r, c), magnitude * (3 * 0x1p-18 + static_cast<double>(n) * 0x1p-24));
      }
    product.apply(x, y);
    Matrix<double> in_place = x.clone();
    product.apply(in_place, in_place);
    EXPECT_TRUE(std::equal(y.data(), y.data() + y.size(), in_place.data()));
  }
}

TEST(Refit, IsTheLeastSquaresSolution) {
  const int64_t n = 24;
  const Matrix<double> gram = random_gram(n, 9);
  const Matrix<double> target = random_f64(3, n, 10);
  const Mask mask = best_mask(target.view(), {2, 4});
  Matrix<double> values = target.clone();
  apply_mask(mask, values.view());
  InputGram input(gram.clone());
  refit(target.view(), input, mask, values, 1e-12, 1000);
  // The gradient (V − T)·H is zero where values are free.
  Matrix<double> difference(3, n);
  for (int64_t i = 0; i < difference.size(); ++i) difference.data()[i] = values.data()[i] - target.data()[i];
  const Matrix<double> gradient = matmul(std::as_const(difference).view(), gram.view());
  const Matrix<double> scale = matmul(target.view(), gram.view());
  double largest = 0.0;
  for (int64_t i = 0; i < scale.size(); ++i) largest = std::max(largest, std::abs(scale.data()[i]));
  for (int64_t r = 0; r < 3; ++r)
    for (int64_t c = 0; c < n; ++c)
      if (mask.keeps(r, c)) {
        EXPECT_NEAR(gradient(r, c) / largest, 0.0, 1e-5);  // products of the refit are in f32
      }
  EXPECT_TRUE(follows(values, mask));
}

// Error of one row with the kept weights as they are.
double row_error(const Matrix<double>& weight, const Matrix<double>& gram, const Mask& mask) {
  Matrix<double> values = weight.clone();
  apply_mask(mask, values.view());
  return layer_error(std::as_const(values).view(), weight.view(), gram.view());
}

TEST(SwapRefine, EndsWhereNoExchangeHelpsAndCountsTrueErrors) {
  const int64_t n = 16;
  const Matrix<double> gram = random_gram(n, 11);
  const Matrix<double> weight = random_f64(1, n, 12);
  Mask mask = best_mask(weight.view(), {2, 4});
  const double before = row_error(weight, gram, mask);
  InputGram input(gram.clone());
  EXPECT_GT(swap_refine(weight.view(), weight.view(), input, mask), 0);
  const double after = row_error(weight, gram, mask);
  EXPECT_LT(after, before);
  for (int64_t g = 0; g < mask.groups_per_row(); ++g) {
    const uint32_t kept = mask.group(0, g);
    for (int i = 0; i < 4; ++i)
      for (int o = 0; o < 4; ++o) {
        if ((kept >> o & 1u) == 0 || (kept >> i & 1u) != 0) continue;
        Mask other = mask;
        other.group(0, g) = (kept & ~(1u << o)) | 1u << i;
        EXPECT_GE(row_error(weight, gram, other), after * (1.0 - 1e-9));
      }
  }
}

TEST(Prune, MoreWorkMeansLessErrorAndThePatternHolds) {
  const Matrix<double> gram = random_gram(kColumns, 13);
  const Matrix<double> weight = random_f64(12, kColumns, 14);
  ChannelStatistics statistics = statistics_of(gram);
  ScoreOptions ria;
  ria.method = SparseMethod::kRia;
  measure_weights(Weight::from_matrix(weight.view()), ria, statistics);
  InputGram input(gram.clone());
  const LinearProblem problem{weight.view(), weight.view(), input, statistics};
  const auto error = [&](SparseMethod method, WeightUpdate update, int64_t swaps, Pattern pattern) {
    PruneOptions options;
    options.pattern = pattern;
    options.score.method = method;
    options.update = update;
    options.swap_rounds = swaps;
    const SparseRows sparse = prune(problem, options);
    EXPECT_TRUE(follows(sparse.values, sparse.mask));
    EXPECT_GT(sparse.kept_score, 0.0);
    EXPECT_LE(sparse.kept_score, sparse.total_score);
    for (int64_t i = 0; keeps_weights(options) && i < weight.size(); ++i)
      EXPECT_TRUE(sparse.values.data()[i] == 0.0 || sparse.values.data()[i] == weight.data()[i]);
    return layer_error(sparse.values.view(), weight.view(), gram.view());
  };
  for (const Pattern pattern : kPatterns) {
    const double magnitude = error(SparseMethod::kMagnitude, WeightUpdate::kNone, 0, pattern);
    const double wanda = error(SparseMethod::kWanda, WeightUpdate::kNone, 0, pattern);
    const double swapped = error(SparseMethod::kWanda, WeightUpdate::kNone, 1, pattern);
    const double updated = error(SparseMethod::kWanda, WeightUpdate::kObs, 0, pattern);
    const double refitted = error(SparseMethod::kWanda, WeightUpdate::kRefit, 0, pattern);
    const double sparsegpt = error(SparseMethod::kSparseGpt, WeightUpdate::kObs, 0, pattern);
    const double both = error(SparseMethod::kSparseGpt, WeightUpdate::kRefit, 3, pattern);
    error(SparseMethod::kRia, WeightUpdate::kNone, 0, pattern);
    error(SparseMethod::kEsparse, WeightUpdate::kNone, 0, pattern);
    EXPECT_LT(wanda, magnitude);
    EXPECT_LT(swapped, wanda);
    EXPECT_LT(updated, wanda);
    EXPECT_LT(refitted, updated);
    EXPECT_LT(both, sparsegpt);
    EXPECT_LT(error(SparseMethod::kAlps, WeightUpdate::kRefit, 0, pattern), sparsegpt);
  }
}

}  // namespace
}  // namespace pare::test
