// Tests, behind `is`.
#include <string_view>

#include "text/jinja/builtins.h"
#include "text/jinja/fault.h"
#include "text/jinja/python_text.h"
#include "text/jinja/value_ops.h"

namespace pare {
namespace {

using Value = JinjaValue;

const Value& operand(std::string_view name, const JinjaArgs& args) {
  const JinjaBound bound(name, args, {"other"}, 1);
  return bound[0];
}

void no_operand(std::string_view name, const JinjaArgs& args) { const JinjaBound bound(name, args, {}); }

// value % divisor == rest
bool leaves(const Value& value, const Value& divisor, int rest) {
  return jinja_equal(jinja_binary(JinjaOperator::kMod, value, divisor), Value::integer(rest));
}

bool is_sequence(const Value& value) {
  if (value.is_undefined() || value.is_string() || value.is_dict()) return true;
  if (!value.is_list()) return false;
  const JinjaList& list = value.items();
  return list.form == JinjaList::Form::kList || list.is_tuple() || list.form == JinjaList::Form::kRange;
}

bool is_iterable(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is_dict() || value.is_list();
}

bool is_callable(const Value& value) {
  return value.is_undefined() || (value.is_object() && value.object()->callable());
}

// A test without an operand.
template <bool (*Is)(const Value&)>
bool plain(const Value& value, const JinjaArgs& args) {
  no_operand("test", args);
  return Is(value);
}

struct Entry {
  std::string_view name;
  JinjaTest test;
};
using Args = JinjaArgs;

bool equal(const Value& v, const Args& a) { return jinja_equal(v, operand("eq", a)); }
bool unequal(const Value& v, const Args& a) { return !jinja_equal(v, operand("ne", a)); }
bool greater(const Value& v, const Args& a) { return jinja_greater(v, operand("gt", a)); }
bool greater_equal(const Value& v, const Args& a) { return jinja_greater_equal(v, operand("ge", a)); }
bool less(const Value& v, const Args& a) { return jinja_less(v, operand("lt", a)); }
bool less_equal(const Value& v, const Args& a) { return jinja_less_equal(v, operand("le", a)); }

constexpr Entry kTests[] = {
    {"defined", plain<[](const Value& v) { return !v.is_undefined(); }>},
    {"undefined", plain<[](const Value& v) { return v.is_undefined(); }>},
    {"none", plain<[](const Value& v) { return v.is_none(); }>},
    {"boolean", plain<[](const Value& v) { return v.is_bool(); }>},
    {"true", plain<[](const Value& v) { return v.is_bool() && v.as_bool(); }>},
    {"false", plain<[](const Value& v) { return v.is_bool() && !v.as_bool(); }>},
    {"integer", plain<[](const Value& v) { return v.kind() == Value::Kind::kInt; }>},
    {"float", plain<[](const Value& v) { return v.is_float(); }>},
    {"number", plain<[](const Value& v) { return v.is_number(); }>},
    {"string", plain<[](const Value& v) { return v.is_string(); }>},
    {"mapping", plain<[](const Value& v) { return v.is_dict(); }>},
    {"sequence", plain<is_sequence>},
    {"iterable", plain<is_iterable>},
    {"callable", plain<is_callable>},
    {"escaped", plain<[](const Value&) { return false; }>},
    {"lower", plain<[](const Value& v) { return python_is_lower(jinja_str(v).text()); }>},
    {"upper", plain<[](const Value& v) { return python_is_upper(jinja_str(v).text()); }>},
    {"odd", plain<[](const Value& v) { return leaves(v, Value::integer(2), 1); }>},
    {"even", plain<[](const Value& v) { return leaves(v, Value::integer(2), 0); }>},
    {"divisibleby", [](const Value& v, const Args& a) { return leaves(v, operand("divisibleby", a), 0); }},
    {"in", [](const Value& v, const Args& a) { return jinja_contains(operand("in", a), v); }},
    {"sameas", [](const Value& v, const Args& a) { return v.same_as(operand("sameas", a)); }},
    {"filter", plain<[](const Value& v) { return v.is_string() && find_jinja_filter(v.str()) != nullptr; }>},
    {"test", plain<[](const Value& v) { return v.is_string() && find_jinja_test(v.str()) != nullptr; }>},
    {"eq", equal},
    {"equalto", equal},
    {"==", equal},
    {"ne", unequal},
    {"!=", unequal},
    {"gt", greater},
    {"greaterthan", greater},
    {">", greater},
    {"ge", greater_equal},
    {">=", greater_equal},
    {"lt", less},
    {"lessthan", less},
    {"<", less},
    {"le", less_equal},
    {"<=", less_equal},
};

}  // namespace

JinjaTest find_jinja_test(std::string_view name) {
  for (const Entry& entry : kTests)
    if (entry.name == name) return entry.test;
  return nullptr;
}

}  // namespace pare
