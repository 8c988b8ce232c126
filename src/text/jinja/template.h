// Jinja templates as transformers runs chat templates: jinja2's immutable sandbox with trim_blocks and
// lstrip_blocks, break and continue, {% generation %}, and its own tojson, raise_exception and strftime_now.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/origin_string.h"
#include "text/jinja/value.h"

namespace pare {

// A piece of rendered text and where it came from: kTemplateOrigin for the template's own text, else the
// number that the caller gave to the variable's strings.
struct JinjaSpan {
  std::string text;
  int32_t origin = kTemplateOrigin;
};

// Limits of a template, which is a program from outside.
struct JinjaLimits {
  int64_t steps = 20'000'000;  // operations; JinjaMeter says what else counts as one
  int64_t output_bytes = 64 << 20;
  int64_t memory_bytes = 256 << 20;  // memory of the values that live at one time
  int64_t depth = 600;               // depth of nested expressions, statements and calls together
};

struct JinjaOptions {
  JinjaLimits limits;
  std::optional<std::tm> now;  // local time that strftime_now reads; nothing: the clock
};

struct JinjaProgram;

class JinjaTemplate {
 public:
  // Throws kFormat (syntax) or kUnsupported (what is missing), the message beginning with "line N: ".
  static JinjaTemplate parse(std::string_view source);

  // `variables` is a dict. Neighbouring spans differ in origin. Throws kInvalid: with the template's own
  // message for raise_exception("…"), else with "line N: " and what went wrong, Jinja's words for undefined
  // names; kUnsupported where the template needs what is not there. May be called from several threads at
  // once.
  std::vector<JinjaSpan> render(const JinjaValue& variables, const JinjaOptions& options = {}) const;

 private:
  std::shared_ptr<const JinjaProgram> program_;
};

}  // namespace pare
