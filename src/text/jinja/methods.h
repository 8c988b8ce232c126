// The methods of texts, lists and dicts that templates may call.
#pragma once

#include <string_view>

#include "text/jinja/object.h"
#include "text/jinja/value.h"

namespace pare {

using JinjaMethod = JinjaValue (*)(const JinjaValue& self, const JinjaArgs& args);

// Null where the type has no such method or templates may not call it.
JinjaMethod find_jinja_method(const JinjaValue& self, std::string_view name);
// A name that Python knows and the sandbox hides: what would change a list or dict, and what begins with
// "__".
bool is_unsafe_jinja_attribute(const JinjaValue& self, std::string_view name);

// The tables behind find_jinja_method.
JinjaMethod find_string_method(std::string_view name);
JinjaMethod find_container_method(const JinjaValue& self, std::string_view name);

}  // namespace pare
