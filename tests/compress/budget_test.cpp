// One budget over many streams or matrices.
#include "compress/budget.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "support/expect_error.h"

namespace pare::test {
namespace {

using Widths = std::vector<int64_t>;

TEST(AllocateWidths, NothingToRemoveLeavesFullWidths) {
  const std::vector<WidthCurve> curves = {{10, {100, 50}, {0.0, 1.0}}, {20, {64, 32}, {0.0, 1.0}}};
  EXPECT_EQ(allocate_widths(curves, 0, 8), (Widths{100, 64}));
  EXPECT_EQ(allocate_widths(curves, -5, 8), (Widths{100, 64}));
}

TEST(AllocateWidths, PrefersTheCheaperCurve) {
  // 50 units · 10 parameters for a loss of 1, against 50 · 10 for 0.5, and 50 · 5 for 0.2.
  const std::vector<WidthCurve> curves = {
      {10, {100, 50}, {0.0, 1.0}}, {10, {100, 50}, {0.0, 0.5}}, {5, {100, 50}, {0.0, 0.2}}};
  EXPECT_EQ(allocate_widths(curves, 250, 1), (Widths{100, 100, 50}));
  EXPECT_EQ(allocate_widths(curves, 750, 1), (Widths{100, 50, 50}));
  EXPECT_EQ(allocate_widths(curves, 1250, 1), (Widths{50, 50, 50}));
}

TEST(AllocateWidths, ShortensTheLastStepToTheGranularity) {
  const std::vector<WidthCurve> curves = {{10, {100, 20}, {0.0, 1.0}}};
  EXPECT_EQ(allocate_widths(curves, 1, 8), (Widths{96}));
  EXPECT_EQ(allocate_widths(curves, 40, 8), (Widths{96}));
  EXPECT_EQ(allocate_widths(curves, 41, 8), (Widths{88}));
  EXPECT_EQ(allocate_widths(curves, 81, 1), (Widths{91}));
  EXPECT_EQ(allocate_widths(curves, 799, 32), (Widths{20}));  // never beyond the smallest width
}

TEST(AllocateWidths, ACheapFarStepIsNotHiddenBehindADearNearOne) {
  // Convex hull of the first curve: one step 100 → 50 at 1.1 / 50 per unit; the step 100 → 90 alone costs
  // 0.1 a unit. The second curve costs 0.05 a unit.
  const std::vector<WidthCurve> curves = {{1, {100, 90, 50}, {0.0, 1.0, 1.1}}, {1, {100, 50}, {0.0, 2.5}}};
  EXPECT_EQ(allocate_widths(curves, 50, 1), (Widths{50, 100}));
  EXPECT_EQ(allocate_widths(curves, 60, 1), (Widths{50, 90}));
}

TEST(AllocateWidths, TakesTheStepsOfOneCurveInOrder) {
  // The first curve is convex: 0.01, then 0.03 a unit. The second costs 0.02 a unit.
  const std::vector<WidthCurve> curves = {{1, {100, 50, 20}, {0.0, 0.5, 1.4}}, {1, {100, 50}, {0.0, 1.0}}};
  EXPECT_EQ(allocate_widths(curves, 40, 1), (Widths{60, 100}));
  EXPECT_EQ(allocate_widths(curves, 70, 1), (Widths{50, 80}));
  EXPECT_EQ(allocate_widths(curves, 110, 1), (Widths{40, 50}));
  EXPECT_EQ(allocate_widths(curves, 130, 1), (Widths{20, 50}));
}

TEST(AllocateWidths, RemovesEnoughAtTheLeastLoss) {
  // All combinations are compared, at widths that the hulls go through.
  const std::vector<WidthCurve> curves = {{3, {40, 30, 20, 10}, {0.0, 0.1, 0.3, 0.9}},
                                          {7, {40, 30, 20, 10}, {0.0, 0.2, 0.5, 1.0}},
                                          {5, {40, 30, 20, 10}, {0.0, 0.01, 0.5, 2.0}}};
  for (int64_t wanted = 1; wanted <= 450; wanted += 7) {
    const Widths widths = allocate_widths(curves, wanted, 1);
    int64_t removed = 0;
    for (size_t i = 0; i < curves.size(); ++i) removed += (40 - widths[i]) * curves[i].parameters_per_width;
    EXPECT_GE(removed, wanted);
    EXPECT_LT(removed, wanted + 7) << "by less than one unit too much";
  }
}

TEST(AllocateWidths, SaysHowMuchIsMissing) {
  const std::vector<WidthCurve> curves = {{10, {100, 50}, {0.0, 1.0}}};
  EXPECT_EQ(allocate_widths(curves, 500, 8), (Widths{50}));
  EXPECT_PARE_ERROR(allocate_widths(curves, 507, 8), ErrorCode::kInvalid, "leaves 7 parameters too many");
  EXPECT_PARE_ERROR(allocate_widths({}, 1, 8), ErrorCode::kInvalid, "1 parameters too many");
}

struct Spent {
  int64_t price = 0;
  double loss = 0.0;
};

Spent spent(const std::vector<PricedOptions>& choices, const std::vector<size_t>& chosen) {
  Spent sum;
  for (size_t i = 0; i < choices.size(); ++i) {
    sum.price += choices[i].price[chosen[i]];
    sum.loss += choices[i].loss[chosen[i]];
  }
  return sum;
}

// The least loss of all combinations that fit.
double least_loss(const std::vector<PricedOptions>& choices, int64_t budget) {
  double least = INFINITY;
  std::vector<size_t> at(choices.size(), 0);
  while (true) {
    if (const Spent sum = spent(choices, at); sum.price <= budget) least = std::min(least, sum.loss);
    size_t i = 0;
    while (i < at.size() && ++at[i] == choices[i].price.size()) at[i++] = 0;
    if (i == at.size()) return least;
  }
}

// Things of unlike size whose loss falls four times with every further bit, some with outliers from that.
std::vector<PricedOptions> random_choices(size_t things, uint64_t seed) {
  Rng rng(seed);
  std::vector<PricedOptions> choices(things);
  for (PricedOptions& choice : choices) {
    const auto values = static_cast<int64_t>(100 + rng.below(900));
    const double scale = std::exp(3.0 * rng.uniform());
    for (const int64_t bits : {4, 3, 8, 6, 5}) {
      choice.price.push_back(values * bits + static_cast<int64_t>(rng.below(7)));
      choice.loss.push_back(scale * std::pow(4.0, -static_cast<double>(bits)) * (0.5 + rng.uniform()));
    }
  }
  return choices;
}

TEST(AllocateOptions, ComesCloseToTheBestOfAllCombinations) {
  double lost = 0.0;
  int64_t exact = 0;
  int64_t cases = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const std::vector<PricedOptions> choices = random_choices(6, seed);
    int64_t least = 0;
    int64_t most = 0;
    for (const PricedOptions& choice : choices) {
      least += *std::min_element(choice.price.begin(), choice.price.end());
      most += *std::max_element(choice.price.begin(), choice.price.end());
    }
    for (const double share : {0.0, 0.1, 0.3, 0.5, 0.8}) {
      const int64_t budget = least + static_cast<int64_t>(share * static_cast<double>(most - least));
      const Spent found = spent(choices, allocate_options(choices, budget));
      const double best = least_loss(choices, budget);
      EXPECT_LE(found.price, budget);
      EXPECT_GE(found.loss, best);
      EXPECT_LE(found.loss, 1.2 * best) << seed << " " << share;
      lost += found.loss / best - 1.0;
      exact += found.loss <= best * (1.0 + 1e-9) ? 1 : 0;
      ++cases;
    }
  }
  EXPECT_LT(lost / static_cast<double>(cases), 0.01);
  EXPECT_GT(exact, cases * 3 / 4);
}

TEST(AllocateOptions, TakesTheBestOfEachWhereAllFit) {
  const std::vector<PricedOptions> choices = {{{3, 8, 5}, {0.3, 0.0, 0.1}}, {{4, 4}, {0.2, 0.1}}};
  EXPECT_EQ(allocate_options(choices, 12), (std::vector<size_t>{1, 1}));
  EXPECT_EQ(allocate_options(choices, 11), (std::vector<size_t>{2, 1}));
  EXPECT_EQ(allocate_options(choices, 7), (std::vector<size_t>{0, 1}));
}

TEST(AllocateOptions, NeverPaysForWhatIsNoBetter) {
  const std::vector<PricedOptions> choices = {{{3, 8, 5}, {0.1, 0.2, 0.1}}};
  EXPECT_EQ(allocate_options(choices, 100), (std::vector<size_t>{0}));
}

TEST(AllocateOptions, NamesTheLeastPrice) {
  const std::vector<PricedOptions> choices = {{{3, 8}, {0.1, 0.0}}, {{4}, {0.2}}};
  EXPECT_PARE_ERROR(allocate_options(choices, 6), ErrorCode::kInvalid, "costs 7, and 6 may");
}

}  // namespace
}  // namespace pare::test
