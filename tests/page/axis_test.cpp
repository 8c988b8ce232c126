#include "page/axis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "page/colours.h"
#include "page/figure.h"

namespace pare::test {
namespace {

std::vector<std::string> labels(const std::vector<Tick>& ticks) {
  std::vector<std::string> labels;
  for (const Tick& tick : ticks) labels.push_back(tick.label);
  return labels;
}

using testing::ElementsAre;

TEST(Axis, LinearEndsAtARoundFigure) {
  const LinearAxis axis(269.1);
  EXPECT_THAT(labels(axis.ticks()), ElementsAre("0", "100", "200", "300"));
  EXPECT_DOUBLE_EQ(axis.place(0.0), 0.0);
  EXPECT_DOUBLE_EQ(axis.place(150.0), 0.5);
  EXPECT_THAT(labels(LinearAxis(10.0).ticks()), ElementsAre("0", "2", "4", "6", "8", "10"));
  EXPECT_THAT(labels(LinearAxis(0.3).ticks()), ElementsAre("0", "0.1", "0.2", "0.3"));
}

TEST(Axis, LogarithmicCoversWholeDecades) {
  const LogAxis axis({0.0, 0.02, 3.0});
  EXPECT_THAT(labels(axis.ticks()), ElementsAre("0.01", "0.1", "1", "10"));
  EXPECT_FALSE(axis.covers(0.0));
  EXPECT_TRUE(axis.covers(0.01));
  EXPECT_NEAR(axis.place(1.0), 2.0 / 3.0, 1e-12);
  EXPECT_EQ(axis.place(0.0), 0.0);
  // One decade at least, and no more than wanted.
  EXPECT_THAT(labels(LogAxis({1.0}).ticks()), ElementsAre("0.1", "1"));
  EXPECT_THAT(labels(LogAxis({1.0, 1e-9}, 2).ticks()), ElementsAre("0.01", "0.1", "1"));
  EXPECT_EQ(labels(LogAxis({0.0}).ticks()).size(), 4u);
}

TEST(Axis, CoordinatesAreShort) {
  EXPECT_EQ(at(12.0), "12");
  EXPECT_EQ(at(100.0), "100");
  EXPECT_EQ(at(0.5), "0.5");
  EXPECT_EQ(at(1.006), "1.01");
  EXPECT_EQ(at(0.0), "0");
}

TEST(Axis, LabelsOfLayersHaveRoom) {
  EXPECT_EQ(layer_label_step(28.0), 1);
  EXPECT_EQ(layer_label_step(10.0), 5);
}

TEST(Colours, RampGrowsLighterAndInkStandsOut) {
  EXPECT_EQ(ramp_colour(0.0), "#00204D");
  EXPECT_EQ(ramp_colour(1.0), "#FFEA46");
  EXPECT_EQ(ramp_colour(-1.0), ramp_colour(0.0));
  EXPECT_EQ(ramp_colour(2.0), ramp_colour(1.0));
  EXPECT_EQ(ink_on(ramp_colour(0.0)), "#FFFFFF");
  EXPECT_EQ(ink_on(ramp_colour(1.0)), "#000000");
  EXPECT_NE(category_colour(0), category_colour(1));
  EXPECT_EQ(category_colour(0), category_colour(7));
}

}  // namespace
}  // namespace pare::test
