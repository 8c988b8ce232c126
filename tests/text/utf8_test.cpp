#include "text/unicode/utf8.h"

#include <gtest/gtest.h>

namespace pare {
namespace {

std::string replaced(std::string_view text) {
  std::string out;
  append_replacing_invalid(out, text);
  return out;
}

TEST(Utf8, EveryCodePointSurvivesEncodingAndDecoding) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xd800 && code < 0xe000) continue;
    std::string text;
    append_utf8(text, code);
    const Utf8Char c = decode_utf8(text + "x");
    ASSERT_TRUE(c.valid) << static_cast<uint32_t>(code);
    ASSERT_EQ(c.code, code);
    ASSERT_EQ(c.length, text.size());
  }
}

// The expected texts are what Python's bytes.decode("utf-8", "replace") gives.
TEST(Utf8, InvalidSequencesAreReplacedAsPythonDoes) {
  const std::string r = "\xef\xbf\xbd";
  EXPECT_EQ(replaced("a\x80z"), "a" + r + "z");
  EXPECT_EQ(replaced("\xc0\xaf"), r + r);                  // overlong
  EXPECT_EQ(replaced("\xe0\x80\xaf"), r + r + r);          // overlong
  EXPECT_EQ(replaced("\xed\xa0\x80"), r + r + r);          // surrogate
  EXPECT_EQ(replaced("\xf4\x90\x80\x80"), r + r + r + r);  // beyond U+10FFFF
  EXPECT_EQ(replaced("\xf5 \xff"), r + " " + r);
  EXPECT_EQ(replaced("\xe2\x82"), r);  // cut short: one character
  EXPECT_EQ(replaced("\xf0\x9f\x98 \xe2\x82\xac"), r + " \xe2\x82\xac");
  EXPECT_EQ(replaced("\xf0\x9f\xe2\x82\xac"), r + "\xe2\x82\xac");
}

TEST(Utf8, TruncatedTailIsWhatCouldStillBecomeACharacter) {
  EXPECT_EQ(truncated_tail(""), 0u);
  EXPECT_EQ(truncated_tail("abc"), 0u);
  EXPECT_EQ(truncated_tail("a\xc3"), 1u);
  EXPECT_EQ(truncated_tail("a\xc3\xa9"), 0u);
  EXPECT_EQ(truncated_tail("\xe2\x82"), 2u);
  EXPECT_EQ(truncated_tail("\xf0\x9f\x98"), 3u);
  EXPECT_EQ(truncated_tail("\xf0\x80"), 0u);  // no character begins so
  EXPECT_EQ(truncated_tail("\x80\x80\x80\x80"), 0u);
}

}  // namespace
}  // namespace pare
