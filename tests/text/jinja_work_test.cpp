// Every operation is paid for by the bytes and items it walks: no template works for longer than its steps
// say.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/cpu_clock.h"
#include "text/jinja/template.h"

namespace pare {
namespace {

using testing::HasSubstr;

constexpr int64_t kSteps = 100'000;  // some milliseconds
// With much room for slow machines: what is not paid for takes many times as long.
constexpr double kLongest = 2.0 * test::kSlowdown;  // seconds

std::string repeated(std::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

JinjaOptions steps(int64_t most) {
  JinjaOptions options;
  options.limits.steps = most;
  return options;
}

// What a request may hold, in large.
JinjaValue large_variables() {
  JinjaValue made = JinjaValue::dict();
  const auto set = [&](std::string_view name, std::string text) {
    made.set(name, JinjaValue::string(std::move(text), 1));
  };
  set("a", std::string(2'000'000, 'a'));
  set("a2", std::string(2'000'000, 'a'));
  set("half", repeated("a", 1'000'000).append("b"));
  set("flah", std::string("b").append(repeated("a", 1'000'000)));
  set("spaces", std::string(2'000'000, ' '));
  set("lines", repeated("x\n", 500'000));
  set("tabs", std::string(2'000'000, '\t'));
  set("foreign", repeated("ÄΣ", 250'000));
  set("digits", std::string(2'000'000, '7'));
  set("percents", repeated("%s", 200'000));
  set("fields", repeated("{k}", 200'000));
  std::vector<JinjaValue> words;
  std::vector<JinjaValue> large;
  JinjaValue table = JinjaValue::dict();
  for (int i = 0; i < 20'000; ++i) {
    const std::string word = fmt::format("w{}", i);
    words.push_back(JinjaValue::string(word, 1));
    table.set(word, JinjaValue::string(word, 1));
  }
  for (int i = 0; i < 200; ++i) large.push_back(JinjaValue::string(std::string(20'000, 'a'), 1));
  made.set("words", JinjaValue::list(std::move(words)));
  made.set("large", JinjaValue::list(std::move(large)));
  made.set("table", std::move(table));
  return made;
}

std::string again_and_again(std::string_view expression) {
  return "{% for i in range(20000) %}{% set x = " + std::string(expression) + " %}{% endfor %}";
}

// Each is worth more than kSteps when it is done again and again, and most are when they are done once.
constexpr const char* kExpressions[] = {
    // Searches whose parts match for long.
    "half in a",
    "flah in a",
    "a.find(half)",
    "a.rfind(flah)",
    "a.count(half)",
    "a.index('a', 500000)",
    "a.replace(half, '')",
    "a.replace('aa', 'b')",
    "a|replace('a', 'bc')",
    "a.replace('', '-')",
    "a.split(half)",
    "a.rsplit(flah)",
    "a.split('a')",
    "a.rsplit('a', 90000)",
    "a.partition(half)",
    "a.rpartition(flah)",
    "a.startswith(a2)",
    "a.endswith(a2)",
    "a.startswith((half, a2))",
    "a.removeprefix(a2)",
    "a.removesuffix(a2)",
    // Comparisons.
    "a == a2",
    "a != a2",
    "a < a2",
    "a <= a2",
    "a is sameas a2",
    "a in [a2]",
    "[a] == [a2]",
    "a in large",
    "{a: 1}",
    "{a: 1} == {a2: 1}",
    "table[a]",
    "table.get(a)",
    "table.a",
    "table|attr(a)",
    "(a, 1) in [(a2, 1)]",
    "large|sort",
    "large|unique|list",
    "large|max",
    "large|groupby(0)",
    "table|dictsort",
    "table == table.copy()",
    "words == words[:]",
    "words.index('w19999')",
    "words.count('w')",
    "'w' in words",
    "words|map('list')|sum(start=[])",
    // Characters.
    "spaces.strip()",
    "spaces|trim",
    "a.strip('xyza')",
    "a.strip(foreign)",
    "spaces.split()",
    "spaces.rsplit()",
    "lines.split()",
    "lines.splitlines()",
    "lines.splitlines(true)",
    "a|length",
    "a[-1]",
    "a[500000]",
    "a[1:-1]",
    "a[::-1]",
    "a[::2]",
    "a|list",
    "a|first",
    "a|last",
    "a|reverse",
    "a.upper()",
    "foreign|lower",
    "foreign.title()",
    "foreign|capitalize",
    "foreign.swapcase()",
    "foreign|title",
    "a.casefold()",
    "a.isascii()",
    "a.isalpha()",
    "a.islower()",
    "foreign.istitle()",
    "spaces.isspace()",
    "a.isidentifier()",
    "a is lower",
    "a is upper",
    "a|wordcount",
    "a|truncate(500000)",
    "a|escape",
    "foreign|urlencode",
    "table|urlencode",
    "a|string|string",
    "a|int",
    "digits|float",
    "digits|int",
    "spaces|int",
    "a.center(1000001)",
    "a.ljust(1000001)",
    "a.zfill(1000001)",
    "tabs.expandtabs()",
    "tabs.expandtabs(9)",
    "lines|indent",
    "lines|indent(8, true, true)",
    "a.encode is defined and a|upper",
    // Texts that are made.
    "a + a2",
    "a ~ a2",
    "a * 2",
    "large|join",
    "large|join(a)",
    "', '.join(large)",
    "words|join(', ')",
    "a|tojson",
    "table|tojson",
    "words|tojson(indent=200)",
    "table|tojson(sort_keys=true)",
    "words|string",
    "[a]|string",
    "'%s' % a",
    "percents % words",
    "percents|format(*words)",
    "fields.format(k=1, **table)",
    "fields.format_map(table)",
    "'{:>99999}'.format(1)",
    "'%99999d' % 1",
    "'{:.99999f}'.format(0.1)",
    "'%.99999e' % 1.5",
    "'%-99999s' % 1",
    "strftime_now(a)",
    "strftime_now('%A' * 10000)",
    // Lists that are made.
    "words + words",
    "words * 2",
    "words[1:]",
    "words[::-1]",
    "words|list",
    "words|first",
    "words|last",
    "words|reverse|list",
    "words|map('upper')|list",
    "words|map(attribute='x')|list",
    "words|select|list",
    "words|select('eq', a)|list",
    "words|rejectattr('x')|list",
    "words|batch(3)|list",
    "words|slice(3)|list",
    "words|sort",
    "words|unique|list",
    "words|min",
    "words|groupby(0)",
    "table|items|list",
    "table.items()",
    "table.keys()",
    "table.values()",
    "table|list",
    "dict(table)",
    "dict(words|map('list'))",
    "namespace(**table)",
    "namespace(table)",
    "range(100000)",
    "range(99999)[:1]",
    "cycler(*words).next()",
};

TEST(JinjaWork, IsPaidForByWhatIsWalked) {
  const JinjaValue variables = large_variables();
  for (const char* expression : kExpressions) {
    std::string error;
    const test::CpuClock clock;
    try {
      JinjaTemplate::parse(again_and_again(expression)).render(variables, steps(kSteps));
    } catch (const Error& failed) {
      error = failed.what();
    }
    EXPECT_LT(clock.seconds(), kLongest) << expression << ": " << error;
    EXPECT_THAT(error, HasSubstr("100000 steps")) << expression;
  }
}

// Names in the source, too, are looked at one after the other.
TEST(JinjaWork, OfNamesIsPaidFor) {
  std::string names;
  std::string arguments;
  for (int i = 0; i < 3000; ++i) {
    names += fmt::format("{{% set n{} = 1 %}}", i);
    arguments += fmt::format("{}n{}=1", i > 0 ? ", " : "", i);
  }
  for (const std::string& source :
       {names + "{% for i in range(20000) %}{{ nothing }}{% endfor %}",
        "{% macro m(" + arguments + ") %}{% endmacro %}" + again_and_again("m(" + arguments + ")")}) {
    const test::CpuClock clock;
    try {
      JinjaTemplate::parse(source).render(large_variables(), steps(kSteps));
      ADD_FAILURE() << "was rendered";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("100000 steps"));
    }
    EXPECT_LT(clock.seconds(), kLongest);
  }
}

// Steps grow with what is walked and no faster.
TEST(JinjaWork, IsLinear) {
  const auto renders = [](const std::string& source, int64_t most) {
    return !JinjaTemplate::parse(source).render(large_variables(), steps(most)).empty();
  };
  EXPECT_TRUE(renders("{{ half in a }}{{ a.count('aab') }}{{ a.split('</think>')|length }}", 800'000));
  EXPECT_TRUE(renders("{{ words|unique|list|length }}{{ words|join|length }}", 800'000));
}

}  // namespace
}  // namespace pare
