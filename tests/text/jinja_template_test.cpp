// Rendering of templates: what the goldens do not show (origins, limits, messages of errors).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "text/jinja/template.h"

namespace pare {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int32_t kUser = 7;

JinjaValue variables() {
  JinjaValue made = JinjaValue::from_json(
      Json::parse(
          R"({"x": "a<s>b", "y": "ÉlanX", "list": ["p", "q"], "d": {"k": "v\"w", "n": 1}, "t": " z "})"),
      kUser);
  made.set("bos", JinjaValue::string("<s>"));
  return made;
}

// Foreign text in brackets.
std::string marked(const std::string& source, const JinjaOptions& options = {}) {
  std::string out;
  int32_t before = kUser + 1;
  for (const JinjaSpan& span : JinjaTemplate::parse(source).render(variables(), options)) {
    EXPECT_NE(span.origin, before) << "neighbours of one origin";
    EXPECT_FALSE(span.text.empty());
    before = span.origin;
    out += span.origin == kTemplateOrigin ? span.text : "[" + span.text + "]";
  }
  return out;
}

std::string error_of(const std::string& source, const JinjaOptions& options = {},
                     ErrorCode code = ErrorCode::kInvalid) {
  try {
    JinjaTemplate::parse(source).render(variables(), options);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << source << " was rendered";
  return {};
}

TEST(JinjaOrigins, PassThroughWhatIsMadeOfThem) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{{ x }}", "[a<s>b]"},
      {"{{ bos }}{{ x }}{{ bos }}", "<s>[a<s>b]<s>"},
      {"{{ '<' + x + '>' }}", "<[a<s>b]>"},
      {"{{ '<' ~ x ~ 1 }}", "<[a<s>b]1"},
      {"{{ ('<' ~ x)[1:3] ~ ('<' ~ x)[:2] }}", "[a<]<[a]"},
      {"{{ ('ab' ~ x)[::-1] }}", "[b>s<a]ba"},
      {"{{ y|upper }}{{ y.lower() }}{{ 'A'|lower }}", "[ÉLANXélanx]a"},
      {"{{ x|replace('<s>', '-') }}", "[a]-[b]"},
      {"{{ 'a-b'|replace('-', x) }}", "a[a<s>b]b"},
      {"{{ t|trim ~ t.strip() }}", "[zz]"},
      {"{{ (x ~ 'X' ~ y).split('X')|join('|') }}", "[a<s>b]|[Élan]|"},
      {"{{ list|join(', ') }}", "[p], [q]"},
      {"{{ list }}", "['[p]', '[q]']"},
      {"{{ d|tojson }}", "{\"[k]\": \"[v\\\"w]\", \"[n]\": 1}"},
      {"{{ 'on %s off' % x }}{{ '{}'.format(x) }}{{ '{:>7}'.format(x) }}", "on [a<s>b] off[a<s>b]  [a<s>b]"},
      {"{% set v %}({{ x }}){% endset %}{{ v|upper }}", "([A<S>B])"},
      {"{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(x) }}", "<[a<s>b]>"},
      {"{% for c in x %}{{ c }}.{% endfor %}", "[a].[<].[s].[>].[b]."},
      {"{% for k, v in d|items %}{{ k }}{% endfor %}", "[kn]"},
      {"{{ x|indent(2, true) }}", "  [a<s>b]"},
      {"{{ 'ß' ~ 'ß'|upper }}{{ x[:1].center(3, '*') }}", "ßSS*[a]*"},
      {"{{ x|escape }}", "[a&lt;s&gt;b]"},
      {"{% filter upper %}a{{ x }}{% endfilter %}", "A[A<S>B]"},
  };
  for (const auto& [source, expected] : cases) EXPECT_EQ(marked(source), expected) << source;
}

TEST(JinjaErrors, NameTheLineAndWhatIsWrong) {
  EXPECT_EQ(error_of("a\n{{ q.r }}"), "line 2: 'q' is undefined");
  EXPECT_EQ(error_of("\n\n{{ d.nope.r }}"), "line 3: 'dict object' has no attribute 'nope'");
  EXPECT_EQ(error_of("{{ list[5].x }}"), "line 1: list object has no element 5");
  EXPECT_EQ(error_of("{{ list.append(1) }}"),
            "line 1: access to attribute 'append' of 'list' object is unsafe.");
  EXPECT_EQ(error_of("{{ 1 + 'a' }}"), "line 1: unsupported operand type(s) for +: 'int' and 'str'");
  EXPECT_EQ(error_of("{% if true %}\n{{ 1 / 0 }}{% endif %}"), "line 2: division by zero");
}

TEST(JinjaErrors, AnExceptionOfTheTemplateIsItsOwnWords) {
  EXPECT_EQ(error_of("\n{{ raise_exception('Roles must ' ~ 'alternate') }}"), "Roles must alternate");
}

TEST(JinjaErrors, SyntaxAndWhatIsMissing) {
  EXPECT_THAT(error_of("a\n{% if x %}", {}, ErrorCode::kFormat),
              StartsWith("line 2: Unexpected end of template"));
  EXPECT_EQ(error_of("{{ 'a' b }}", {}, ErrorCode::kFormat),
            "line 1: expected token 'end of print statement', got 'b'");
  EXPECT_EQ(error_of("\n{% include 'x' %}", {}, ErrorCode::kUnsupported),
            "line 2: the tag 'include' is not supported");
  EXPECT_EQ(error_of("\n{{ x|nope }}", {}, ErrorCode::kUnsupported), "line 2: No filter named 'nope'.");
  EXPECT_EQ(error_of("{{ x|random }}", {}, ErrorCode::kUnsupported),
            "line 1: the filter 'random' is not supported");
  EXPECT_EQ(error_of("{{ x is nope }}", {}, ErrorCode::kUnsupported), "line 1: No test named 'nope'.");
}

TEST(JinjaLimits, EndWhatWouldNotEnd) {
  JinjaOptions options;
  options.limits.steps = 100000;
  EXPECT_THAT(
      error_of("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", options),
      HasSubstr("100000 steps"));
  EXPECT_THAT(
      error_of("{% set n = namespace(t=(1,)) %}{% for i in range(60) %}{% set n.t = (n.t, n.t) %}{% endfor %}"
               "{{ {n.t: 1} }}",
               options),
      HasSubstr("100000 steps"));
  EXPECT_THAT(error_of("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), HasSubstr("recurses deeper"));
  EXPECT_THAT(error_of("{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}"),
              HasSubstr("recurses deeper"));
}

TEST(JinjaLimits, MemoryAndOutput) {
  JinjaOptions options;
  options.limits.memory_bytes = 1 << 20;
  for (const char* source :
       {"{{ 'x' * 10**9 }}", "{{ [1] * 10**9 }}", "{{ 'x'.ljust(10**9) }}", "{{ 'x'|center(10**9) }}",
        "{{ 'x'|indent(10**9) }}", "{{ [1]|tojson(indent=10**9) }}", "{{ 'x'.zfill(10**9) }}",
        "{% set n = namespace(s='xxxxxxxx') %}{% for i in range(40) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "{% set n = namespace(s='xxxxxxxx') %}{% for i in range(40) %}{% set n.s = n.s.replace('x', 'xx') "
        "%}{% endfor %}",
        "{% set n = namespace(s=['a']) %}{% for i in range(40) %}{% set n.s = [n.s|join(n.s|join('aa')), "
        "'bb'] %}{% endfor %}",
        "{% set n = namespace(s=[0]) %}{% for i in range(40) %}{% set n.s = n.s + n.s %}{% endfor %}"})
    EXPECT_THAT(error_of(source, options), HasSubstr("memory")) << source;
  options = {};
  options.limits.output_bytes = 100;
  EXPECT_THAT(error_of("{% for i in range(101) %}a{% endfor %}", options), HasSubstr("100 bytes"));
  EXPECT_THAT(error_of("{{ range(10**12) }}"), HasSubstr("Range too big"));
}

TEST(JinjaLimits, NestingOfTheSourceAndOfValues) {
  std::string deep;
  for (int i = 0; i < 10000; ++i) deep += "(";
  EXPECT_THAT(error_of("{{ " + deep, {}, ErrorCode::kUnsupported), HasSubstr("nests deeper"));
  std::string chain = "{{ 1";
  for (int i = 0; i < 10000; ++i) chain += " + 1";
  EXPECT_THAT(error_of(chain + " }}", {}, ErrorCode::kUnsupported), HasSubstr("levels"));
  std::string ifs;
  for (int i = 0; i < 10000; ++i) ifs += "{% if x %}";
  EXPECT_THAT(error_of(ifs, {}, ErrorCode::kUnsupported), HasSubstr("nests deeper"));
  EXPECT_THAT(
      error_of("{% set n = namespace(v=[]) %}{% for i in range(1000) %}{% set n.v = [n.v] %}{% endfor %}"),
      HasSubstr("nest deeper"));
}

TEST(JinjaCycles, AreLetGo) {
  EXPECT_EQ(marked("{% set n = namespace() %}{% set n.n = n %}{% macro m() %}{% endmacro %}{% set n.m = m %}"
                   "{% for i in [1] %}{% set n.l = loop %}{{ loop.changed(loop) }}{% endfor %}"),
            "True");
  EXPECT_THAT(error_of("{% set n = namespace() %}{% set n.n = n %}{{ n }}"), HasSubstr("too deeply"));
  // A chain of loops, each of which holds the one before.
  EXPECT_EQ(marked("{% set n = namespace(l=1) %}{% for i in range(50000) %}{% for j in [n.l] %}"
                   "{% for k in [1] %}{% set n.l = loop %}{% endfor %}{% endfor %}{% endfor %}a"),
            "a");
}

TEST(JinjaText, InvalidUtf8IsKept) {
  JinjaValue made = JinjaValue::dict();
  made.set("x", JinjaValue::string("a\xff\xe2\x82z", kUser));
  const auto spans =
      JinjaTemplate::parse("{{ x }}{{ x|upper }}{{ x[::-1] }}{{ x|length }}{{ x|trim|tojson }}").render(made);
  ASSERT_FALSE(spans.empty());
  EXPECT_THAT(spans.front().text, StartsWith("a\xff\xe2\x82zA\xff\xe2\x82Z"));
}

TEST(JinjaTemplate, UsesTheClockWhereNoTimeIsGiven) { EXPECT_GE(marked("{{ strftime_now('%Y') }}"), "2024"); }

}  // namespace
}  // namespace pare
