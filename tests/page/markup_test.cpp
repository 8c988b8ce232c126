#include "page/markup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pare::test {
namespace {

TEST(Markup, EscapesWhatXmlGivesAMeaning) {
  EXPECT_EQ(escaped("<script>alert(\"1\" && '2')</script>"),
            "&lt;script&gt;alert(&quot;1&quot; &amp;&amp; &#39;2&#39;)&lt;/script&gt;");
  EXPECT_EQ(escaped("Größe 日本 😀"), "Größe 日本 😀");
  EXPECT_EQ(escaped("a\tb\nc"), "a\tb\nc");
}

TEST(Markup, ReplacesWhatXmlHasNoPlaceFor) {
  constexpr const char* kReplaced = "\xEF\xBF\xBD";
  EXPECT_EQ(escaped(std::string("a\0b", 3)), std::string("a") + kReplaced + "b");
  EXPECT_EQ(escaped("\x01\x1b"), std::string(kReplaced) + kReplaced);
  EXPECT_EQ(escaped("\xff"), kReplaced);          // no UTF-8
  EXPECT_EQ(escaped("\xEF\xBF\xBF"), kReplaced);  // U+FFFF
}

TEST(Markup, ClosesWhatItOpens) {
  Markup page;
  page.open("p", {{"class", "a\"b"}});
  page.text("1 < 2");
  page.element("b", "&");
  page.empty("br");
  page.close();
  EXPECT_EQ(std::move(page).finish(), "<p class=\"a&quot;b\">1 &lt; 2<b>&amp;</b>\n<br/>\n</p>\n");
}

TEST(Markup, IdsAreDistinct) {
  Markup page;
  EXPECT_NE(page.next_id(), page.next_id());
}

TEST(Markup, TablesHaveHeaders) {
  Markup page;
  add_table(page, {"name", "bytes"}, {{"<q>", "12"}});
  const std::string text = std::move(page).finish();
  EXPECT_THAT(text, testing::HasSubstr("<th scope=\"col\">bytes</th>"));
  EXPECT_THAT(text, testing::HasSubstr("<th scope=\"row\">&lt;q&gt;</th>"));
  EXPECT_THAT(text, testing::HasSubstr("<td>12</td>"));
}

}  // namespace
}  // namespace pare::test
