// A template, and behind a NUL byte the JSON of its variables, else fixed ones. Whatever it does, it ends
// within its limits, and text keeps its origin: what the template did not write is in spans of the variables.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "text/jinja/template.h"

namespace {

constexpr std::string_view kVariables = R"({
  "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <|x|> é\u2028"},
               {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}],
  "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
  "x": "text", "n": 3, "f": 0.5, "add_generation_prompt": true, "documents": [], "none": null})";

pare::JinjaOptions small() {
  pare::JinjaOptions options;
  options.limits = {.steps = 20000, .output_bytes = 1 << 16, .memory_bytes = 1 << 20, .depth = 300};
  options.now.emplace();
  return options;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const pare::JinjaOptions options = small();
  static const pare::JinjaValue fixed =
      pare::JinjaValue::from_json(pare::parse_json(kVariables, "variables"), 1);
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    const size_t end = input.find('\0');
    pare::JinjaValue variables = fixed;
    if (end != std::string_view::npos) {
      const pare::Json json = pare::parse_json(input.substr(end + 1), "variables");
      if (!json.is_object()) return 0;
      variables = pare::JinjaValue::from_json(json, 1);
    }
    int32_t before = 2;
    size_t written = 0;
    for (const pare::JinjaSpan& span :
         pare::JinjaTemplate::parse(input.substr(0, end)).render(variables, options)) {
      PARE_CHECK(span.origin != before && !span.text.empty());
      PARE_CHECK(span.origin == 1 || span.origin == pare::kTemplateOrigin);
      before = span.origin;
      written += span.text.size();
    }
    PARE_CHECK(written <= static_cast<size_t>(options.limits.output_bytes));
  } catch (const pare::Error& error) {
    if (error.code() == pare::ErrorCode::kInternal) throw;
  }
  return 0;
}
