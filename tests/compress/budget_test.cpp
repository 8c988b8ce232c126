// One budget of parameters over many streams.
#include "compress/budget.h"

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
  EXPECT_EQ(allocate_widths(curves, 1, 8), (Widths{92}));
  EXPECT_EQ(allocate_widths(curves, 80, 8), (Widths{92}));
  EXPECT_EQ(allocate_widths(curves, 81, 8), (Widths{84}));
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

}  // namespace
}  // namespace pare::test
