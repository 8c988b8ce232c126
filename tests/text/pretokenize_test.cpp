#include "text/tokenizer/pretokenize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pare {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> words(PreTokenizer kind, std::string_view text) {
  std::vector<std::string> out;
  for_each_word(kind, text, [&](std::string_view word) { out.emplace_back(word); });
  return out;
}

TEST(PreTokenize, Gpt2) {
  const auto cut = [](std::string_view text) { return words(PreTokenizer::kGpt2, text); };
  EXPECT_THAT(cut(""), ElementsAre());
  EXPECT_THAT(cut("Hello world"), ElementsAre("Hello", " world"));
  EXPECT_THAT(cut("a  b"), ElementsAre("a", " ", " b"));
  EXPECT_THAT(cut("a\n b"), ElementsAre("a", "\n", " b"));
  EXPECT_THAT(cut("a \n"), ElementsAre("a", " \n"));
  EXPECT_THAT(cut("a\n\nb"), ElementsAre("a", "\n", "\n", "b"));
  EXPECT_THAT(cut("x 123,4"), ElementsAre("x", " 123", ",", "4"));
  EXPECT_THAT(cut("it's we'll DON'T"), ElementsAre("it", "'s", " we", "'ll", " DON", "'", "T"));
  EXPECT_THAT(cut(" 's"), ElementsAre(" '", "s"));
  EXPECT_THAT(cut("é漢 ½"), ElementsAre("é漢", " ½"));
  EXPECT_THAT(cut("\u3000\u3000x"), ElementsAre("\u3000", "\u3000", "x"));
  EXPECT_THAT(cut("a\xff\xfe b"), ElementsAre("a", "\xff\xfe", " b"));
}

TEST(PreTokenize, SmolLMIsolatesDigits) {
  const auto cut = [](std::string_view text) { return words(PreTokenizer::kSmolLM, text); };
  EXPECT_THAT(cut("x 123,4"), ElementsAre("x", " ", "1", "2", "3", ",", "4"));
  EXPECT_THAT(cut("a  1"), ElementsAre("a", "  ", "1"));  // the look-ahead does not see the digit
  EXPECT_THAT(cut("½b"), ElementsAre("½", "b"));
}

TEST(PreTokenize, Llama3) {
  const auto cut = [](std::string_view text) { return words(PreTokenizer::kLlama3, text); };
  EXPECT_THAT(cut("Hello world"), ElementsAre("Hello", " world"));
  EXPECT_THAT(cut("x 12345"), ElementsAre("x", " ", "123", "45"));
  EXPECT_THAT(cut("DON'T I'LL"), ElementsAre("DON", "'T", " I", "'LL"));
  EXPECT_THAT(cut("'\u017fa 'xa"), ElementsAre("'\u017f", "a", " '", "xa"));
  EXPECT_THAT(cut("\tint(x)"), ElementsAre("\tint", "(x", ")"));
  EXPECT_THAT(cut("a;\r\n\r\nb"), ElementsAre("a", ";\r\n\r\n", "b"));
  EXPECT_THAT(cut("a \n \n  b"), ElementsAre("a", " \n \n", " ", " b"));
  EXPECT_THAT(cut("\nabc"), ElementsAre("\n", "abc"));
  EXPECT_THAT(cut("a   "), ElementsAre("a", "   "));
  EXPECT_THAT(cut(" !"), ElementsAre(" !"));
}

TEST(PreTokenize, Qwen2IsolatesNumbers) {
  const auto cut = [](std::string_view text) { return words(PreTokenizer::kQwen2, text); };
  EXPECT_THAT(cut("x 123 DON'T"), ElementsAre("x", " ", "1", "2", "3", " DON", "'T"));
}

TEST(PreTokenize, TekkenCutsWhereTheCaseChanges) {
  const auto cut = [](std::string_view text) { return words(PreTokenizer::kTekken, text); };
  EXPECT_THAT(cut(""), ElementsAre());
  EXPECT_THAT(cut("camelCase HTTPServer"), ElementsAre("camel", "Case", " HTTPServer"));
  EXPECT_THAT(cut("ABcD don'T x's"), ElementsAre("ABc", "D", " don", "'T", " x", "'s"));
  EXPECT_THAT(cut("x 12,3"), ElementsAre("x", " ", "1", "2", ",", "3"));
  EXPECT_THAT(cut("a://\n/b \n c"), ElementsAre("a", "://\n/", "b", " \n", " c"));
  EXPECT_THAT(cut("\tint(x) !"), ElementsAre("\tint", "(x", ")", " !"));
  // A modifier letter and an ideograph have no case: they end a word in capitals as well as begin one.
  EXPECT_THAT(cut("A\u02b0BC"), ElementsAre("A\u02b0", "BC"));
  EXPECT_THAT(cut("文A文a"), ElementsAre("文A文a"));
  EXPECT_THAT(cut("\u01c5a"), ElementsAre("\u01c5a"));  // a letter of title case
  // Marks are letters here, and may stand before a word as well.
  EXPECT_THAT(cut("e\u0301A"), ElementsAre("e\u0301", "A"));
  EXPECT_THAT(cut("\u0301AB"), ElementsAre("\u0301", "AB"));
  EXPECT_THAT(cut(" \u0301"), ElementsAre(" \u0301"));
  EXPECT_THAT(cut("a\xff\xfe B"), ElementsAre("a", "\xff\xfe", " B"));
}

// Scanners that look ahead over a run for each of its characters would need hours here.
TEST(PreTokenize, TakesLinearTime) {
  for (const auto kind :
       {PreTokenizer::kGpt2, PreTokenizer::kSmolLM, PreTokenizer::kLlama3, PreTokenizer::kTekken}) {
    for (const char* unit :
         {"a", " ", "\n", "1", "'", " \n", " a", "\xff", "\u3000", "A", "aA", "\u0301", "\u0301A"}) {
      std::string text;
      while (text.size() < 1000000) text += unit;
      size_t bytes = 0;
      for_each_word(kind, text, [&](std::string_view word) { bytes += word.size(); });
      EXPECT_EQ(bytes, text.size());
    }
  }
}

}  // namespace
}  // namespace pare
