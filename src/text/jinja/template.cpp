#include "text/jinja/template.h"

#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/evaluator.h"
#include "text/jinja/fault.h"
#include "text/jinja/parser.h"

namespace pare {
namespace {

size_t limit_of(int64_t limit) { return static_cast<size_t>(std::max<int64_t>(0, limit)); }

}  // namespace

JinjaTemplate JinjaTemplate::parse(std::string_view source) {
  JinjaTemplate made;
  made.program_ = std::make_shared<const JinjaProgram>(JinjaParser(source).parse());
  return made;
}

std::vector<JinjaSpan> JinjaTemplate::render(const JinjaValue& variables, const JinjaOptions& options) const {
  PARE_CHECK(variables.is_dict());
  JinjaMeter meter(limit_of(options.limits.memory_bytes), limit_of(options.limits.steps));
  const JinjaCycles cycles;
  int line = 1;
  std::vector<JinjaSpan> spans;
  try {
    const JinjaString output = JinjaEvaluator(*program_, variables, options, line).run();
    output.for_each_run([&](size_t begin, size_t end, int32_t origin) {
      spans.push_back({output.text().substr(begin, end - begin), origin});
    });
  } catch (const JinjaFault& fault) {
    throw Error(fault.code, fmt::format("line {}: {}", line, fault.message));
  } catch (const JinjaRaised& raised) {
    throw Error(ErrorCode::kInvalid, raised.message);
  }
  return spans;
}

}  // namespace pare
