#include "eval/prompt_text.h"

#include <gtest/gtest.h>

namespace pare {
namespace {

TEST(PromptText, StripsWhatPythonCallsSpace) {
  EXPECT_EQ(strip(" \t\n a b \r\x1f"), "a b");
  EXPECT_EQ(strip("\u00a0\u2003é\u3000"), "é");
  EXPECT_EQ(strip("\u2003 \n"), "");
  EXPECT_EQ(strip(""), "");
  EXPECT_EQ(strip("\u200bx"), "\u200bx");  // a zero width space is none
  EXPECT_EQ(strip_end("  a \u00a0"), "  a");
}

TEST(PromptText, ReplacesFromTheLeft) {
  EXPECT_EQ(replace_all("a   b", "  ", " "), "a  b");
  EXPECT_EQ(replace_all("How to x [title] Do y.", " [title]", ". "), "How to x.  Do y.");
  EXPECT_EQ(replace_all("", "x", "y"), "");
  EXPECT_EQ(replace_all("xx", "x", ""), "");
}

TEST(PromptText, RemovesBracketsOfOneLine) {
  EXPECT_EQ(remove_brackets("[header] How [substeps] to"), " How  to");
  EXPECT_EQ(remove_brackets("a [b [c] d] e"), "a  d] e");
  EXPECT_EQ(remove_brackets("a [b\nc] [d] e"), "a [b\nc]  e");
  EXPECT_EQ(remove_brackets("[] [open"), " [open");
  EXPECT_EQ(remove_brackets("]["), "][");
}

TEST(PromptText, CapitalizesTheFirstLetterAndNoOther) {
  EXPECT_EQ(capitalize("he Is OK"), "He is ok");
  EXPECT_EQ(capitalize("élan ÉTÉ × ÷"), "Élan été × ÷");
  EXPECT_EQ(capitalize(" a B"), " a b");
  EXPECT_EQ(capitalize(""), "");
}

TEST(PromptText, StartsAndEnds) {
  EXPECT_EQ(strip_start(" \n a "), "a ");
  EXPECT_EQ(without_last("abé"), "ab");
  EXPECT_EQ(without_last(""), "");
  EXPECT_EQ(uncapitalize("He Is"), "he Is");
  EXPECT_EQ(uncapitalize("Été"), "été");
  EXPECT_EQ(uncapitalize(""), "");
}

TEST(PromptText, CountsCodePoints) {
  EXPECT_EQ(character_count("abc"), 3);
  EXPECT_EQ(character_count("é漢😀"), 3);
  EXPECT_EQ(character_count(""), 0);
}

}  // namespace
}  // namespace pare
