#include "text/tokenizer/added_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pare {
namespace {

using ::testing::ElementsAre;

// Pieces as "text" or "id:text".
std::vector<std::string> pieces(const std::vector<AddedToken>& tokens, std::string_view text,
                                bool parse_special = true) {
  const AddedTokenMatcher matcher(tokens, {});
  const TextRange all = {0, text.size()};
  const std::span<const TextRange> plain(&all, parse_special ? 0 : 1);
  std::vector<std::string> out;
  const auto add = [&out](const TextPiece& piece) {
    out.push_back((piece.id < 0 ? "" : std::to_string(piece.id) + ":") + std::string(piece.text));
  };
  for (const TextPiece& piece : matcher.split(text, plain)) {
    if (piece.id >= 0) {
      add(piece);
      continue;
    }
    for (const TextPiece& finer : matcher.split_normalized(piece.text, plain)) add(finer);
  }
  return out;
}

TEST(AddedTokens, LeftmostThenLongest) {
  const std::vector<AddedToken> tokens = {
      {.text = "ab", .id = 1}, {.text = "bcde", .id = 2}, {.text = "abc", .id = 3}};
  EXPECT_THAT(pieces(tokens, "xabcde"), ElementsAre("x", "3:abc", "de"));
  EXPECT_THAT(pieces(tokens, "abbcde"), ElementsAre("1:ab", "2:bcde"));
  EXPECT_THAT(pieces(tokens, "a"), ElementsAre("a"));
  EXPECT_THAT(pieces(tokens, ""), ElementsAre());
  EXPECT_THAT(pieces({}, "abc"), ElementsAre("abc"));
}

TEST(AddedTokens, NormalizedOnesComeSecond) {
  const std::vector<AddedToken> tokens = {{.text = "foo bar", .id = 1, .normalized = true},
                                          {.text = "bar", .id = 2}};
  EXPECT_THAT(pieces(tokens, "foo bar"), ElementsAre("foo ", "2:bar"));
}

TEST(AddedTokens, SpecialOnesAreTextInUserText) {
  const std::vector<AddedToken> tokens = {{.text = "<s>", .id = 1, .special = true},
                                          {.text = "<t>", .id = 2}};
  EXPECT_THAT(pieces(tokens, "<s><t>", false), ElementsAre("<s>", "2:<t>"));
}

TEST(AddedTokens, SpecialOnesMayNotTouchAPlainRange) {
  const AddedTokenMatcher matcher({{.text = "<s>", .id = 1, .special = true}}, {});
  const TextRange plain[] = {{3, 5}, {8, 9}};
  std::vector<size_t> found;
  const std::string_view text = "<s><s><s><s>";
  for (const TextPiece& piece : matcher.split(text, plain))
    if (piece.id == 1) found.push_back(static_cast<size_t>(piece.text.data() - text.data()));
  EXPECT_THAT(found, ElementsAre(0, 9));
}

TEST(AddedTokens, NormalizedOnesAreLookedForInTheirNormalForm) {
  const AddedTokenMatcher matcher({{.text = "a b", .id = 1, .normalized = true}},
                                  {{NormalizerStep::Kind::kReplace, " ", "_"}});
  EXPECT_EQ(matcher.split_normalized("a_b", {}).front().id, 1);
  EXPECT_EQ(matcher.split_normalized("a b", {}).front().id, -1);
}

TEST(AddedTokens, StripTakesWhiteSpace) {
  EXPECT_THAT(pieces({{.text = "M", .id = 1, .lstrip = true}}, "a \u3000\n M b"),
              ElementsAre("a", "1: \u3000\n M", " b"));
  EXPECT_THAT(pieces({{.text = "M", .id = 1, .rstrip = true}}, "a M \u3000\n b"),
              ElementsAre("a ", "1:M \u3000\n ", "b"));
  EXPECT_THAT(pieces({{.text = "M", .id = 1, .lstrip = true, .rstrip = true}}, "M M"),
              ElementsAre("1:M ", "1:M"));
}

TEST(AddedTokens, SingleWordIsNotFoundInsideAWord) {
  const std::vector<AddedToken> tokens = {{.text = "cat", .id = 1, .single_word = true}};
  EXPECT_THAT(pieces(tokens, "cat, cats"), ElementsAre("1:cat", ", cats"));
  EXPECT_THAT(pieces(tokens, "écat"), ElementsAre("écat"));
  EXPECT_THAT(pieces(tokens, "…cat…"), ElementsAre("…", "1:cat", "…"));
}

}  // namespace
}  // namespace pare
