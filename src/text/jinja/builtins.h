// Filters, tests and functions that every template may use.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/object.h"
#include "text/jinja/value.h"

namespace pare {

using JinjaFilter = JinjaValue (*)(const JinjaValue& value, const JinjaArgs& args);
using JinjaTest = bool (*)(const JinjaValue& value, const JinjaArgs& args);

// Returns null where there is no filter or test of this name.
JinjaFilter find_jinja_filter(std::string_view name);
JinjaTest find_jinja_test(std::string_view name);
// Message that there is no such filter, or that jinja2 has it and this interpreter lacks it.
std::string missing_filter_message(std::string_view name);

// range, dict, namespace, …; undefined where there is none of this name. strftime_now reads `now`, else the
// clock.
JinjaValue jinja_global(std::string_view name, const std::optional<std::tm>& now);

// The tables behind find_jinja_filter.
JinjaFilter find_text_filter(std::string_view name);
JinjaFilter find_sequence_filter(std::string_view name);
JinjaFilter find_value_filter(std::string_view name);

// strftime of the C locale. Throws JinjaFault where it grows too long.
std::string jinja_strftime(const std::string& format, const std::tm& time);

// Thrown for raise_exception: the template's own words.
struct JinjaRaised {
  std::string message;
};

}  // namespace pare
