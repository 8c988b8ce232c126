// Filters of single values.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/jinja/fault.h"
#include "text/jinja/python_text.h"
#include "text/jinja/value_ops.h"

namespace pare {
namespace {

using Value = JinjaValue;

// Digits of any script as ASCII, without the underscores that may stand between digits; nothing where the
// text is no number by Python's rules.
std::optional<std::string> plain_number(std::string_view text) {
  std::string out;
  bool digit_before = false;
  text = python_strip(text);
  for (size_t pos = 0; pos < text.size();) {
    const PythonChar c = python_char_at(text, pos);
    pos = c.end;
    if (c.code == '_') {
      const bool digit_behind = pos < text.size() && python_char_at(text, pos).is(kPyAlnum);
      if (!digit_before || !digit_behind) return std::nullopt;
      digit_before = false;
      continue;
    }
    const int digit = c.valid ? python_digit(c.code) : -1;
    if (digit < 0 && (!c.valid || c.code >= 128)) return std::nullopt;
    out.push_back(digit >= 0 ? static_cast<char>('0' + digit) : static_cast<char>(c.code));
    digit_before = c.is(kPyAlnum);
  }
  return out;
}

std::optional<double> parse_float(std::string_view text) {
  const auto plain = plain_number(text);
  if (!plain || plain->empty()) return std::nullopt;
  std::string lower = *plain;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  std::string_view digits = lower;
  double sign = 1;
  if (digits[0] == '+' || digits[0] == '-') {
    sign = digits[0] == '-' ? -1 : 1;
    digits.remove_prefix(1);
  }
  if (digits == "inf" || digits == "infinity") return sign * HUGE_VAL;
  if (digits == "nan") return std::nan("");
  if (digits.empty() || digits.find_first_not_of("0123456789.e+-") != std::string_view::npos)
    return std::nullopt;
  double value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ec == std::errc::invalid_argument || result.ptr != digits.data() + digits.size())
    return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) value = std::strtod(std::string(digits).c_str(), nullptr);
  return sign * value;
}

// int(text, base).
std::optional<JinjaInt> parse_int(std::string_view text, JinjaInt base) {
  const auto plain = plain_number(text);
  if (!plain) return std::nullopt;
  std::string_view digits = *plain;
  bool negative = false;
  if (!digits.empty() && (digits[0] == '+' || digits[0] == '-')) {
    negative = digits[0] == '-';
    digits.remove_prefix(1);
  }
  if (digits.size() > 1 && digits[0] == '0') {
    const char mark = static_cast<char>(digits[1] | 0x20);
    const JinjaInt marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked != 0 && (base == marked || base == 0)) {
      base = marked;
      digits.remove_prefix(2);
    } else if (base == 0 && digits.find_first_not_of('0') != std::string_view::npos) {
      return std::nullopt;
    }
  }
  if (base == 0) base = 10;
  if (digits.empty() || base < 2 || base > 36) return std::nullopt;
  JinjaInt value = 0;
  for (const char c : digits) {
    const char lower = static_cast<char>(c | 0x20);
    const int digit = c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
    if (digit >= base) return std::nullopt;
    if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, JinjaInt{digit}, &value))
      jinja_unsupported("an integer beyond 127 bits is not supported");
  }
  return negative ? -value : value;
}

std::optional<JinjaInt> truncated(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  if (std::fabs(value) >= 1.7e38) jinja_unsupported("an integer beyond 127 bits is not supported");
  return static_cast<JinjaInt>(value);
}

Value to_int(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("int", args, {"default", "base"});
  Value otherwise = bound.has(0) ? bound[0] : Value::integer(0);
  jinja_require_defined(value);
  if (value.is_integer()) return Value::integer(value.as_int());
  if (value.is_float()) {
    if (std::isinf(value.as_float()) || std::isnan(value.as_float())) {
      if (std::isinf(value.as_float())) jinja_fault("cannot convert float infinity to integer");
      return otherwise;
    }
    return Value::integer(*truncated(value.as_float()));
  }
  if (!value.is_string()) return otherwise;
  if (const auto number = parse_int(value.str(), bound.integer(1, 10))) return Value::integer(*number);
  const auto real = parse_float(value.str());
  const auto number = real ? truncated(*real) : std::nullopt;
  return number ? Value::integer(*number) : otherwise;
}

Value to_float(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("float", args, {"default"});
  jinja_require_defined(value);
  if (value.is_number()) return Value::real(value.as_float());
  const auto number = value.is_string() ? parse_float(value.str()) : std::nullopt;
  if (number) return Value::real(*number);
  return bound.has(0) ? bound[0] : Value::real(0);
}

Value absolute(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("abs", args, {});
  jinja_require_defined(value);
  if (value.is_float()) return Value::real(std::fabs(value.as_float()));
  if (!value.is_integer()) jinja_fault("bad operand type for abs(): '{}'", jinja_type_name(value));
  return value.as_int() < 0 ? jinja_negate(value) : jinja_plus(value);
}

// A number rounded to `digits` decimal places, halves to even, exactly: as the decimal value of the double
// says.
double rounded(double value, int digits) {
  if (!std::isfinite(value) || digits > 308) return value;
  jinja_spend(JinjaMeter::kStep * (8 + static_cast<size_t>(std::abs(digits))));
  if (digits >= 0) return std::strtod(fmt::format("{:.{}f}", value, digits).c_str(), nullptr);
  const double unit = std::pow(10.0, -digits);
  if (!std::isfinite(unit)) return std::copysign(0.0, value);
  return std::nearbyint(value / unit) * unit;
}

JinjaInt rounded_int(JinjaInt value, JinjaInt places) {
  if (places > 37) return 0;
  JinjaInt unit = 1;
  for (JinjaInt i = 0; i < places; ++i) unit *= 10;
  JinjaInt down = value / unit * unit;
  if (down > value) down -= unit;
  const JinjaInt rest = value - down;
  const bool up = rest * 2 > unit || (rest * 2 == unit && down / unit % 2 != 0);
  return up ? down + unit : down;
}

Value round(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("round", args, {"precision", "method"});
  const std::string method = bound.has(1) && bound[1].is_string() ? bound[1].str() : "common";
  if (method != "common" && method != "ceil" && method != "floor")
    jinja_fault("method must be common, ceil or floor");
  const auto precision = static_cast<int>(std::clamp<JinjaInt>(bound.integer(0, 0), -400, 400));
  jinja_require_defined(value);
  if (!value.is_number()) jinja_fault("type {} doesn't define __round__ method", jinja_type_name(value));
  if (method == "common") {
    if (value.is_float()) return Value::real(rounded(value.as_float(), precision));
    return Value::integer(precision < 0 ? rounded_int(value.as_int(), -precision) : value.as_int());
  }
  const Value unit = jinja_binary(JinjaOperator::kPow, Value::integer(10), Value::integer(precision));
  const Value scaled = jinja_binary(JinjaOperator::kMul, value, unit);
  const double exact = scaled.as_float();
  const auto whole = scaled.is_integer() ? std::optional<JinjaInt>(scaled.as_int())
                                         : truncated(method == "ceil" ? std::ceil(exact) : std::floor(exact));
  if (!whole) jinja_fault("cannot convert float infinity or NaN to integer");
  return jinja_binary(JinjaOperator::kDiv, Value::integer(*whole), unit);
}

Value otherwise(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("default", args, {"default_value", "boolean"});
  const bool replaced = value.is_undefined() || (bound.truth(1, false) && !jinja_truth(value));
  if (!replaced) return value;
  return bound.has(0) ? bound[0] : Value::string(std::string());
}

Value length(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("length", args, {});
  return Value::integer(static_cast<JinjaInt>(jinja_length(value)));
}

Value attribute(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("attr", args, {"name"}, 1);
  jinja_require_defined(value);
  if (!bound[0].is_string())
    jinja_fault("attribute name must be string, not '{}'", jinja_type_name(bound[0]));
  if (auto found = jinja_own_attribute(value, bound[0].str())) return *std::move(found);
  return Value::undefined({.message = fmt::format("'{} object' has no attribute {}", jinja_type_name(value),
                                                  jinja_repr(bound[0]).text())});
}

struct Entry {
  std::string_view name;
  JinjaFilter filter;
};
constexpr Entry kFilters[] = {{"default", otherwise}, {"d", otherwise}, {"length", length},
                              {"count", length},      {"int", to_int},  {"float", to_float},
                              {"abs", absolute},      {"round", round}, {"attr", attribute}};

constexpr std::string_view kMissing[] = {"pprint", "random", "striptags", "urlize", "wordwrap", "xmlattr"};

}  // namespace

double jinja_to_float(const JinjaValue& value) {
  jinja_require_defined(value);
  if (value.is_number()) return value.as_float();
  if (!value.is_string())
    jinja_fault("float() argument must be a string or a real number, not '{}'", jinja_type_name(value));
  const auto number = parse_float(value.str());
  if (!number) jinja_fault("could not convert string to float: {}", jinja_repr(value).text());
  return *number;
}

JinjaFilter find_value_filter(std::string_view name) {
  for (const Entry& entry : kFilters)
    if (entry.name == name) return entry.filter;
  return nullptr;
}

JinjaFilter find_jinja_filter(std::string_view name) {
  if (const JinjaFilter filter = find_text_filter(name)) return filter;
  if (const JinjaFilter filter = find_sequence_filter(name)) return filter;
  return find_value_filter(name);
}

std::string missing_filter_message(std::string_view name) {
  const bool missing = std::find(std::begin(kMissing), std::end(kMissing), name) != std::end(kMissing);
  return missing ? fmt::format("the filter '{}' is not supported", name)
                 : fmt::format("No filter named '{}'.", name);
}

}  // namespace pare
