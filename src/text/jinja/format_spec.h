// Python's format specifications: [[fill]align][sign][#][0][width][,][.precision][type].
#pragma once

#include <optional>

#include "text/jinja/origin_string.h"
#include "text/jinja/value.h"

namespace pare {

inline constexpr int kMaxFormatWidth = 100000;

struct FormatSpec {
  JinjaString fill{" "};
  char align = '\0';  // <, >, ^, or = for fill behind the sign
  char sign = '-';    // or + or a space
  bool alternate = false;
  bool zero = false;
  char grouping = '\0';  // , or _
  int width = 0;
  std::optional<int> precision;
  char type = '\0';
};

// chr(code).
JinjaString format_char(JinjaInt code);
// An integer or a float.
JinjaString format_number(const JinjaValue& value, const FormatSpec& spec);
// format(value, spec) for any value.
JinjaString format_value(const JinjaValue& value, const JinjaString& spec);

}  // namespace pare
