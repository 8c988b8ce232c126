#include "engine/stop_filter.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace pare {
namespace {

// Feeds `text` in pieces of `piece` bytes and returns everything handed out.
std::string filter(const std::vector<std::string>& stops, std::string_view text, size_t piece) {
  StopFilter filter(stops);
  std::string out;
  for (size_t i = 0; i < text.size(); i += piece) out += filter.push(text.substr(i, piece));
  return out + filter.finish();
}

TEST(StopFilter, CutsAtTheStopHoweverTheTextIsSplit) {
  const std::vector<std::string> stops = {"END.", "ENDS"};
  for (const std::string_view text : {"the END. after", "EEND.", "x ENDEND. y", "ENDS", "no end: EN", ""}) {
    const size_t cut = std::min(text.find(stops[0]), text.find(stops[1]));
    for (size_t piece = 1; piece <= std::max<size_t>(text.size(), 1); ++piece)
      EXPECT_EQ(filter(stops, text, piece), text.substr(0, cut)) << text << " in pieces of " << piece;
  }
}

TEST(StopFilter, FindsAStopThatOverlapsItself) {
  for (size_t piece = 1; piece <= 8; ++piece) EXPECT_EQ(filter({"aab"}, "xaaabaab", piece), "xa");
}

TEST(StopFilter, HoldsBackOnlyWhatMayBecomeAStop) {
  StopFilter filter({"\n\nUser:"});
  EXPECT_EQ(filter.push("hello\n"), "hello");
  EXPECT_EQ(filter.push("wor"), "\nwor");
  EXPECT_EQ(filter.push("ld\n\nUs"), "ld");
  EXPECT_FALSE(filter.stopped());
  EXPECT_EQ(filter.push("er: more"), "");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.push("still more"), "");
  EXPECT_EQ(filter.finish(), "");
}

TEST(StopFilter, WithoutStopsNothingIsHeldBack) {
  StopFilter filter({});
  EXPECT_EQ(filter.push("abc"), "abc");
  EXPECT_EQ(filter.finish(), "");
}

}  // namespace
}  // namespace pare
