// The methods of texts, lists and dicts that templates may call.
#pragma once

#include <string_view>

#include "text/jinja/object.h"
#include "text/jinja/value.h"

namespace pare {

using JinjaMethod = JinjaValue (*)(const JinjaValue& self, const JinjaArgs& args);

// Returns null where the type has no such method or templates may not call it.
JinjaMethod find_jinja_method(const JinjaValue& self, std::string_view name);
// Returns whether Python knows a name that the sandbox hides: methods that would change a list or dict, and
// names that begin with "__".
bool is_unsafe_jinja_attribute(const JinjaValue& self, std::string_view name);

// The tables behind find_jinja_method.
JinjaMethod find_string_method(std::string_view name);
JinjaMethod find_container_method(const JinjaValue& self, std::string_view name);

}  // namespace pare
