#include "page/pareto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pare::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Pareto, KeepsWhatNothingBeatsInBoth) {
  // Bytes and KL: 70 MB at 0.1, 90 at 0.05, 80 at 0.2 (the first is better in both), 270 at 0.
  const std::vector<Tradeoff> bytes = {{90.0, 0.05}, {70.0, 0.1}, {80.0, 0.2}, {270.0, 0.0}};
  EXPECT_THAT(pareto_front(bytes, false), ElementsAre(1, 0, 3));
  // Tokens per second: more is better, so the last two are beaten by none only where they are nearer.
  const std::vector<Tradeoff> speeds = {{100.0, 0.1}, {90.0, 0.2}, {50.0, 0.0}, {40.0, 0.0}};
  EXPECT_THAT(pareto_front(speeds, true), ElementsAre(2, 0));
}

TEST(Pareto, EqualPointsDoNotBeatEachOther) {
  EXPECT_THAT(pareto_front({{1.0, 0.5}, {1.0, 0.5}}, false), ElementsAre(0, 1));
  // Equal in one figure and worse in the other is beaten.
  EXPECT_THAT(pareto_front({{1.0, 0.5}, {1.0, 0.6}, {2.0, 0.5}}, false), ElementsAre(0));
  EXPECT_THAT(pareto_front({}, true), IsEmpty());
}

}  // namespace
}  // namespace pare::test
