#include "text/unicode/unicode.h"

#include <gtest/gtest.h>

#include "text/unicode/char_set.h"

namespace pare {
namespace {

TEST(Unicode, AsciiTableAgreesWithTheGeneratedTiles) {
  for (char32_t c = 0; c < 128; ++c)
    EXPECT_EQ(internal::kAsciiClasses[c], char_classes(c)) << static_cast<uint32_t>(c);
}

TEST(Unicode, TilesAreSortedAndEveryEdgeIsClassed) {
  ASSERT_EQ(kPropertyTiles[0].first, 0u);
  for (size_t i = 0; i < kPropertyTileCount; ++i) {
    const PropertyTile& tile = kPropertyTiles[i];
    const uint32_t end = i + 1 < kPropertyTileCount ? kPropertyTiles[i + 1].first : 0x110000;
    ASSERT_LT(tile.first, end);
    EXPECT_EQ(char_classes(tile.first), classes_of(tile.value)) << tile.first;
    EXPECT_EQ(char_classes(end - 1), classes_of(tile.value)) << tile.first;
  }
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
  // Parts of the library of another Unicode version, or with another idea of a word.
  EXPECT_EQ(char_classes(0x16ff4), kNumeric);
  EXPECT_EQ(char_classes(U'\u200d'), kWordChar);  // what joins
  EXPECT_EQ(char_classes(U'²'), kNumber | kNumeric);
}

TEST(Unicode, InvalidBytesAreCharactersWithoutAClass) {
  const std::string_view text = "\xe2\x82z";
  EXPECT_EQ(char_at(text, 0).classes, 0);
  EXPECT_EQ(char_at(text, 0).length, 2);
  EXPECT_EQ(char_at(text, 2).classes, kLetter | kWordChar | kLower);
}

}  // namespace
}  // namespace pare
