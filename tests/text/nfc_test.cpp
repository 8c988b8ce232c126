#include "text/unicode/nfc.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/mapped_file.h"
#include "support/cpu_clock.h"
#include "text/unicode/utf8.h"

namespace pare {
namespace {

std::string nfc(std::string_view text) {
  std::string out;
  append_nfc(text, out);
  return out;
}

TEST(Nfc, ComposesAndReorders) {
  EXPECT_EQ(nfc(""), "");
  EXPECT_EQ(nfc("plain"), "plain");
  EXPECT_EQ(nfc("e\u0301a"), "\u00e9a");
  EXPECT_EQ(nfc("xe\u0301\u0323"), "x\u1eb9\u0301");  // the lower class first
  EXPECT_EQ(nfc("\u212b"), "\u00c5");                 // a character that another is written for
  EXPECT_EQ(nfc("\u0958"), "\u0915\u093c");           // one that is never composed
  EXPECT_EQ(nfc("\u0344"), "\u0308\u0301");
  EXPECT_EQ(nfc("a\u0308\u0301"), "\u00e4\u0301");  // a mark of the same class stands between
  EXPECT_EQ(nfc("\u1100\u1161\u11a8 \uac00\u11a8 \u1100 \u1161"), "\uac01 \uac01 \u1100 \u1161");
  EXPECT_EQ(nfc("\uac01\u11a8"), "\uac01\u11a8");  // a syllable with a tail takes no other
  EXPECT_EQ(nfc("\u0b47\u0b3e"), "\u0b4b");        // two starters
}

TEST(Nfc, InvalidBytesStandBetween) {
  EXPECT_EQ(nfc("e\xff\u0301"), "e\xff\u0301");
  EXPECT_EQ(nfc("\xe2\x82"
                "e\u0301\xc3"),
            "\xe2\x82"
            "\u00e9\xc3");
  EXPECT_EQ(nfc("\xff\xfe"), "\xff\xfe");
}

TEST(Nfc, TheQuickCheckIsRight) {
  for (const char* text : {"", "plain", "\u00e9t\u00e9", "\u6f22\u5b57", "a\xff"})
    EXPECT_TRUE(is_nfc(text)) << text;
  for (const char* text : {"e\u0301", "\u212b", "\u1161", "x\u0958"}) EXPECT_FALSE(is_nfc(text)) << text;
}

TEST(Nfc, GivesTheFormsOfTheLibrary) {
  const Json golden = parse_json(read_file(PARE_GOLDEN_DIR "/tokenizer/nfc.json", 1 << 20), "nfc.json");
  ASSERT_GT(golden.at("cases").size(), 100u);
  for (const Json& pair : golden.at("cases"))
    EXPECT_EQ(nfc(pair[0].get<std::string>()), pair[1].get<std::string>()) << pair[0];
}

// Twice in the composed form is once.
TEST(Nfc, EveryCharacterIsStable) {
  for (char32_t code = 1; code < 0x110000; ++code) {
    if (code >= 0xd800 && code < 0xe000) continue;
    std::string text = "a";
    append_utf8(text, code);
    const std::string once = nfc(text);
    ASSERT_EQ(nfc(once), once) << static_cast<uint32_t>(code);
    if (is_nfc(text)) {
      ASSERT_EQ(once, text) << static_cast<uint32_t>(code);
    }
  }
}

TEST(Nfc, TakesNearlyLinearTime) {
  const test::CpuClock clock;
  for (const char* unit : {"\u0301", "\u0323\u0301", "e\u0301", "\u1161", "\xff\u0301"}) {
    std::string text;
    while (text.size() < 1000000) text += unit;
    EXPECT_GT(nfc(text).size(), 100000u);
  }
  EXPECT_LT(clock.seconds(), 60);  // 0.5 s; the bound leaves room for sanitizers and busy machines
}

}  // namespace
}  // namespace pare
