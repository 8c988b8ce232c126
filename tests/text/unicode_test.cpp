#include "text/unicode.h"

#include <gtest/gtest.h>

namespace pare {
namespace {

TEST(Unicode, AsciiTableAgreesWithTheGeneratedRanges) {
  for (char32_t c = 0; c < 128; ++c)
    EXPECT_EQ(internal::kAsciiClasses[c], char_classes(c)) << static_cast<uint32_t>(c);
}

TEST(Unicode, RangesAreSortedAndEveryEdgeIsClassed) {
  uint32_t next_free = 0;
  for (size_t i = 0; i < kCharRangeCount; ++i) {
    const CharRange& range = kCharRanges[i];
    ASSERT_GE(range.first, next_free);
    ASSERT_GE(range.last, range.first);
    if (range.first > next_free) {
      EXPECT_EQ(char_classes(range.first - 1), 0) << range.first;
    }
    EXPECT_EQ(char_classes(range.first), range.classes);
    EXPECT_EQ(char_classes(range.last), range.classes);
    next_free = range.last + 1;
  }
  ASSERT_LE(next_free, 0x110000u);
  EXPECT_EQ(char_classes(0x110000), 0);
}

TEST(Unicode, ClassesOfKnownCharacters) {
  EXPECT_EQ(char_classes(U'é'), kLetter | kWordChar | kLower);
  EXPECT_EQ(char_classes(U'É'), kLetter | kWordChar | kUpper);
  EXPECT_EQ(char_classes(U'\u01c5'), kLetter | kWordChar | kUpper);  // of title case
  EXPECT_EQ(char_classes(U'\u02b0'), kLetter | kWordChar);           // a modifier has no case
  EXPECT_EQ(char_classes(U'漢'), kLetter | kWordChar);
  EXPECT_EQ(char_classes(U'٣'), kNumber | kNumeric | kWordChar);
  EXPECT_EQ(char_classes(U'½'), kNumber | kNumeric);
  EXPECT_EQ(char_classes(U'\u0301'), kWordChar | kMark);  // a combining accent is no letter
  EXPECT_EQ(char_classes(U'\u00a0'), kSpace);
  EXPECT_EQ(char_classes(U'\u0085'), kSpace);
  EXPECT_EQ(char_classes(U'\u200b'), 0);  // the zero-width space is no space
  EXPECT_EQ(char_classes(U'…'), 0);
}

TEST(Unicode, InvalidBytesAreCharactersWithoutAClass) {
  const std::string_view text = "\xe2\x82z";
  EXPECT_EQ(char_at(text, 0).classes, 0);
  EXPECT_EQ(char_at(text, 0).length, 2);
  EXPECT_EQ(char_at(text, 2).classes, kLetter | kWordChar | kLower);
}

}  // namespace
}  // namespace pare
