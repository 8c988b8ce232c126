// Templates against what jinja2 makes of them as transformers configures it
// (tools/goldens/make_jinja_goldens.py).
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/mapped_file.h"
#include "text/jinja/template.h"

namespace pare {
namespace {

std::tm golden_time() {
  std::tm now{};  // Sunday, 29 November 2026, 08:05:09
  now.tm_year = 126;
  now.tm_mon = 10;
  now.tm_mday = 29;
  now.tm_hour = 8;
  now.tm_min = 5;
  now.tm_sec = 9;
  now.tm_yday = 332;
  return now;
}

TEST(JinjaGolden, RendersAndRefusesWhatJinja2Does) {
  const std::string path = std::string(PARE_GOLDEN_DIR) + "/jinja/cases.json";
  const Json golden = parse_json(read_file(path, 1 << 22), path);
  const JinjaValue variables = JinjaValue::from_json(golden.at("variables"), 3);
  JinjaOptions options;
  options.now = golden_time();
  ASSERT_GT(golden.at("cases").size(), 1000U);
  for (const Json& item : golden.at("cases")) {
    const std::string source = item.at("t");
    try {
      std::string text;
      for (const JinjaSpan& span : JinjaTemplate::parse(source).render(variables, options)) text += span.text;
      EXPECT_EQ(text, item.value("o", "an error")) << source;
    } catch (const Error& error) {
      EXPECT_TRUE(item.contains("e")) << source << ": " << error.what() << ", jinja2 " << item.dump();
    }
  }
}

}  // namespace
}  // namespace pare
