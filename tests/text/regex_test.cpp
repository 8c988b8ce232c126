#include "text/tokenizer/regex.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "text/unicode/utf8.h"

namespace pare {
namespace {

// The first match in a text of ASCII, "-" when there is none.
std::string first_match(std::string_view pattern, std::string_view text) {
  const Regex regex(pattern);
  std::string symbols;
  regex.append_symbols(text, symbols);
  RegexMatcher matcher(regex);
  const auto match = matcher.find(symbols, 0);
  return match ? std::string(text.substr(match->begin, match->end - match->begin)) : "-";
}

TEST(CharSet, CombinesSets) {
  const CharSet letters = CharSet('a', 'f') | CharSet('d', 'k');
  EXPECT_EQ(letters, CharSet('a', 'k'));
  EXPECT_EQ(CharSet('a', 'c') | CharSet('d'), CharSet('a', 'd'));
  EXPECT_EQ((letters & CharSet('j', 'z')), CharSet('j', 'k'));
  EXPECT_EQ(letters.complement().complement(), letters);
  EXPECT_TRUE(letters.complement().contains(CharSet::kInvalid));
  EXPECT_FALSE(letters.contains('l'));
  EXPECT_TRUE(CharSet().empty());
  EXPECT_EQ(CharSet().complement(), CharSet(0, CharSet::kInvalid));
}

TEST(CharSet, KnowsPropertiesByName) {
  for (const char* name : {"Lu", "lu", "Uppercase_Letter", "uppercase letter", "UPPERCASE-LETTER"})
    EXPECT_EQ(CharSet::named(name), CharSet::named("Lu")) << name;
  EXPECT_TRUE(CharSet::named("Han")->contains(0x4e00));
  EXPECT_TRUE(CharSet::named("P")->contains('!'));
  EXPECT_TRUE(CharSet::named("Cn")->contains(0x378));
  EXPECT_FALSE(CharSet::named("L")->contains('1'));
  EXPECT_EQ(CharSet::named("Klingon"), std::nullopt);
  EXPECT_EQ(CharSet::named(""), std::nullopt);
  EXPECT_EQ(CharSet::named("x"), std::nullopt);
}

TEST(Regex, HasOnigurumasSyntax) {
  EXPECT_EQ(first_match("b+|a", "xaab"), "a");
  EXPECT_EQ(first_match("a{,2}b", "aaab"), "aab");
  EXPECT_EQ(first_match("a{2}+", "aaaaa"), "aaaa");  // not possessive
  EXPECT_EQ(first_match("a++a", "aaa"), "-");
  EXPECT_EQ(first_match("[^a-c&&b-z]", "ba"), "a");
  EXPECT_EQ(first_match("x(?#a comment)y", "xy"), "xy");
  EXPECT_EQ(first_match("a(?i)b|c", "aC"), "aC");  // the flag lasts to the end of the group around it
  EXPECT_EQ(first_match("^b$", "a\nb\nc"), "b");
  EXPECT_EQ(first_match("{x}", "{x}"), "{x}");
  EXPECT_EQ(first_match(R"(\x41\u0042\x{43})", "ABC"), "ABC");
}

TEST(Regex, RefusesWhatItDoesNotRead) {
  for (const char* pattern : {R"((a)\1)", "(?<name>a)", R"(\k<name>)", "(?m:.)", "(?x) a", R"(\R)", R"(\X)",
                              R"(\p{Klingon})", "(?i)ss", "(?i:\u00e9)", R"((?i)\p{L})", "a**", "*a",
                              "(?=a)+", "a{3}?", "a{10000}", R"(\xff)", R"(\p{L)", "[[:klingon:]]"})
    EXPECT_PARE_ERROR(Regex{pattern}, ErrorCode::kUnsupported, "regex");
  for (const char* pattern : {"(a", "a)", "[a", R"(a\)", "[z-a]"})
    EXPECT_PARE_ERROR(Regex{pattern}, ErrorCode::kFormat, "regex");
  EXPECT_PARE_ERROR(Regex{"\xff"}, ErrorCode::kFormat, "UTF-8");
}

TEST(Regex, BoundsThePattern) {
  EXPECT_PARE_ERROR(Regex{std::string(20000, 'a')}, ErrorCode::kUnsupported, "20000 bytes");
  EXPECT_PARE_ERROR(Regex{fmt::format("{}{}", std::string(100, '('), std::string(100, ')'))},
                    ErrorCode::kUnsupported, "nested");
  EXPECT_PARE_ERROR(Regex{fmt::format("{}a{}", std::string(100, '['), std::string(100, ']'))},
                    ErrorCode::kUnsupported, "nested");
  EXPECT_PARE_ERROR(Regex{"(((a{9999}){9999}){9999})"}, ErrorCode::kUnsupported, "does not compile");
  std::string many;
  for (uint32_t c = 0; c < 300; ++c) append_utf8(many, 0x4e00 + c);
  EXPECT_PARE_ERROR(Regex{many}, ErrorCode::kUnsupported, "kinds of characters");
}

TEST(Regex, ExponentialPatternsEndInAnError) {
  const std::string text = fmt::format("{}x", std::string(60, 'a'));
  for (const char* pattern : {R"((a|a)*\z)", R"((a+)+\z)"})
    EXPECT_PARE_ERROR(first_match(pattern, text), ErrorCode::kInvalid, "tries too many ways");
}

// Quadratic in the text: a run of spaces that the pattern wants at the end of it.
TEST(Regex, CostIsBoundedOverTheWholeText) {
  EXPECT_EQ(first_match(R"(\s+$)", fmt::format("{}x", std::string(2000, ' '))), "-");
  EXPECT_PARE_ERROR(first_match(R"(\s+$)", fmt::format("{}x", std::string(1 << 20, ' '))),
                    ErrorCode::kInvalid, "tries too many ways");
}

TEST(Regex, LongMatchesAreNotCostly) {
  const std::string letters(1 << 20, 'a');
  EXPECT_EQ(first_match(R"(\p{L}+)", letters), letters);
  EXPECT_EQ(first_match(R"((?:\p{L}\p{M}*)+)", letters).size(), letters.size());
}

}  // namespace
}  // namespace pare
