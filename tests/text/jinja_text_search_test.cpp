#include <gtest/gtest.h>

#include <random>
#include <string>

#include "support/cpu_clock.h"
#include "text/jinja/text_search.h"

namespace pare {
namespace {

TEST(JinjaTextSearch, FindsWhatStringsFind) {
  std::mt19937 random(1);  // seed of the test
  const auto text_of = [&](size_t most) {
    std::string text(random() % (most + 1), 'a');
    for (char& c : text)
      if (random() % 4 == 0) c = static_cast<char>('a' + random() % 3);
    return text;
  };
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = text_of(40);
    const std::string wanted = text_of(6);
    const size_t place = random() % (text.size() + 1);
    EXPECT_EQ(jinja_find(text, wanted, place), text.find(wanted, place)) << text << " " << wanted;
    const size_t before =
        place < wanted.size() ? std::string::npos : text.rfind(wanted, place - wanted.size());
    EXPECT_EQ(jinja_rfind(text, wanted, place), before) << text << " " << wanted << " " << place;
  }
}

TEST(JinjaTextSearch, TakesLinearTime) {
  const std::string text(4 << 20, 'a');
  const std::string half(2 << 20, 'a');
  const test::CpuClock clock;
  EXPECT_EQ(jinja_find(text, half + 'b'), std::string::npos);
  EXPECT_EQ(jinja_rfind(text, std::string("b").append(half), text.size()), std::string::npos);
  // Some milliseconds; the product of both lengths takes minutes.
  EXPECT_LT(clock.seconds(), 5.0 * test::kSlowdown);
}

}  // namespace
}  // namespace pare
