#include "text/tokenizer/normalizer.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/mapped_file.h"
#include "support/cpu_clock.h"

namespace pare {
namespace {

using Kind = NormalizerStep::Kind;

std::string normalized(std::string_view text, const std::vector<Kind>& kinds) {
  std::vector<NormalizerStep> steps;
  for (const Kind kind : kinds) steps.push_back({kind, "", kind == Kind::kPrepend ? "_" : ""});
  std::string out;
  append_normalized(steps, text, true, out);
  return out;
}

TEST(Normalizer, GivesTheFormsOfTheLibrary) {
  const Json golden =
      parse_json(read_file(PARE_GOLDEN_DIR "/tokenizer/normal_forms.json", 1 << 20), "normal_forms.json");
  const Kind kinds[] = {Kind::kNfd, Kind::kNfkc, Kind::kNfkd, Kind::kLowercase, Kind::kStripAccents};
  ASSERT_GT(golden.at("cases").size(), 100u);
  for (const Json& row : golden.at("cases")) {
    ASSERT_EQ(row.size(), 1 + std::size(kinds));
    for (size_t i = 0; i < std::size(kinds); ++i)
      EXPECT_EQ(normalized(row[0].get<std::string>(), {kinds[i]}), row[i + 1].get<std::string>())
          << row[0] << " " << normalizer_name(kinds[i]);
  }
}

TEST(Normalizer, StepsFollowEachOther) {
  EXPECT_EQ(normalized("\u00c9t\u00c9 \ufb01", {Kind::kNfkd, Kind::kStripAccents, Kind::kLowercase}),
            "ete fi");
  EXPECT_EQ(normalized("\u00e9", {Kind::kStripAccents}), "\u00e9");  // one character
  EXPECT_EQ(normalized("\u0301", {Kind::kStripAccents, Kind::kPrepend}), "");
  EXPECT_EQ(normalized("a", {Kind::kStripAccents, Kind::kPrepend}), "_a");
  EXPECT_EQ(normalized("e\xff\u0301\xe2\x82", {Kind::kNfkc, Kind::kLowercase}), "e\xff\u0301\xe2\x82");
  EXPECT_EQ(normalized("E\xff\u0301", {Kind::kStripAccents, Kind::kLowercase}), "e\xff");
}

// Where a long text is put together is no place where characters join.
TEST(Normalizer, LongTextsAreAsShortOnes) {
  std::string text, expected;
  for (int i = 0; i < 3000; ++i) {
    text += "e\u0301\u0323";
    expected += "\u1eb9\u0301";
  }
  EXPECT_EQ(normalized(text, {Kind::kNfkc}), expected);
  const test::CpuClock clock;
  for (const char* unit : {"\u0323\u0301", "\ufdfa", "\u1161", "a"}) {
    std::string long_text;
    while (long_text.size() < 1000000) long_text += unit;
    EXPECT_GT(normalized(long_text, {Kind::kNfkc}).size(), 100000u);
  }
  EXPECT_LT(clock.seconds(), 60);  // below 1 s; the bound leaves room for sanitizers and busy machines
}

TEST(Normalizer, KnowsTheNames) {
  for (const char* name : {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"})
    EXPECT_EQ(normalizer_name(plain_normalizer(name).value()), name);
  EXPECT_FALSE(plain_normalizer("Replace"));
  EXPECT_EQ(normalizer_name(Kind::kReplace), "");
}

}  // namespace
}  // namespace pare
