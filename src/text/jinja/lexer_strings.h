// Literals of template text.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/value.h"

namespace pare {

// Returns what stands between the quotes of a string, Python's escapes resolved. Throws JinjaFault.
std::string unescape_jinja_string(std::string_view quoted);
// Return how many bytes at the start of `text` are a float, or an integer: 0 if none.
size_t scan_jinja_float(std::string_view text);
size_t scan_jinja_integer(std::string_view text);
JinjaValue jinja_float_literal(std::string_view text);
// Throws JinjaFault beyond 127 bits.
JinjaValue jinja_integer_literal(std::string_view text);

}  // namespace pare
