#include "io/checks.h"

#include <gtest/gtest.h>

namespace pare {
namespace {

TEST(Checks, Utf8FollowsTheUnicodeTable) {
  for (const char* good :
       {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a\xc3\xa9z"})
    EXPECT_TRUE(is_utf8(good)) << printable(good);
  for (const char* bad : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x7f", "\xc2\xc0",
                          "\xe0\x9f\xbf", "\xe1\x80", "\xe1\x80\xc0", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                          "\xf1\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "ab\xfe"})
    EXPECT_FALSE(is_utf8(bad));
}

TEST(Checks, PrintableHidesControlCharactersAndCutsLongText) {
  EXPECT_EQ(printable("a\x1b[2J\n\xc3\xa9 ~"), "a?[2J??? ~");
  EXPECT_EQ(printable(std::string(101, 'x')), std::string(100, 'x') + "...");
}

}  // namespace
}  // namespace pare
