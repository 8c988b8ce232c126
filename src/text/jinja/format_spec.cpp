#include "text/jinja/format_spec.h"

#include <algorithm>
#include <cmath>

#include "text/jinja/fault.h"
#include "text/jinja/python_text.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/value_ops.h"
#include "text/unicode/utf8.h"

namespace pare {
namespace {

bool is_align(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

int spec_number(std::string_view text, size_t& pos) {
  int value = 0;
  for (; pos < text.size() && text[pos] >= '0' && text[pos] <= '9'; ++pos) {
    value = value * 10 + (text[pos] - '0');
    if (value > kMaxFormatWidth) jinja_fault("a width beyond {} is not supported", kMaxFormatWidth);
  }
  return value;
}

FormatSpec parse_spec(const JinjaString& spec) {
  FormatSpec parsed;
  const std::string_view text = spec.text();
  size_t pos = 0;
  const auto skip = [&](char c) {
    if (pos >= text.size() || text[pos] != c) return false;
    ++pos;
    return true;
  };
  if (!text.empty()) {
    const size_t behind = python_char_at(text, 0).end;
    if (behind < text.size() && is_align(text[behind])) {
      parsed.fill = spec.slice(0, behind);
      parsed.align = text[behind];
      pos = behind + 1;
    } else if (is_align(text[0])) {
      parsed.align = text[0];
      pos = 1;
    }
  }
  if (pos < text.size() && (text[pos] == '+' || text[pos] == '-' || text[pos] == ' '))
    parsed.sign = text[pos++];
  parsed.alternate = skip('#');
  if (skip('0')) {
    parsed.zero = true;
    if (parsed.align == '\0') {
      parsed.align = '=';
      parsed.fill = JinjaString("0");
    }
  }
  parsed.width = spec_number(text, pos);
  if (skip(',')) parsed.grouping = ',';
  if (skip('_')) parsed.grouping = '_';
  if (skip('.')) {
    if (pos >= text.size() || text[pos] < '0' || text[pos] > '9')
      jinja_fault("Format specifier missing precision");
    parsed.precision = spec_number(text, pos);
  }
  if (pos < text.size()) parsed.type = text[pos++];
  if (pos < text.size()) jinja_fault("Invalid format specifier");
  return parsed;
}

std::string int_digits(JinjaInt value, char type) {
  const unsigned __int128 magnitude =
      value < 0 ? -static_cast<unsigned __int128>(value) : static_cast<unsigned __int128>(value);
  switch (type) {
    case 'x':
      return fmt::format("{:x}", magnitude);
    case 'X':
      return fmt::format("{:X}", magnitude);
    case 'o':
      return fmt::format("{:o}", magnitude);
    case 'b':
      return fmt::format("{:b}", magnitude);
    default:
      return fmt::format("{}", magnitude);
  }
}

// Python's repr has at least one decimal place; its other formats have as many as are asked for.
std::string float_digits(double value, const FormatSpec& spec) {
  const double magnitude = std::fabs(value);
  const bool upper = spec.type == 'E' || spec.type == 'F' || spec.type == 'G';
  if (!std::isfinite(value)) {
    const std::string_view name = std::isnan(value) ? "nan" : "inf";
    return upper ? fmt::format("{}", name == "nan" ? "NAN" : "INF") : std::string(name);
  }
  const int precision = spec.precision.value_or(6);
  jinja_spend(JinjaMeter::kStep * (8 + static_cast<size_t>(precision)));
  switch (spec.type) {
    case 'e':
      return fmt::format(fmt::runtime(spec.alternate ? "{:#.{}e}" : "{:.{}e}"), magnitude, precision);
    case 'E':
      return fmt::format(fmt::runtime(spec.alternate ? "{:#.{}E}" : "{:.{}E}"), magnitude, precision);
    case 'g':
      return fmt::format(fmt::runtime(spec.alternate ? "{:#.{}g}" : "{:.{}g}"), magnitude,
                         std::max(1, precision));
    case 'G':
      return fmt::format(fmt::runtime(spec.alternate ? "{:#.{}G}" : "{:.{}G}"), magnitude,
                         std::max(1, precision));
    case '%':
      return fmt::format("{:.{}f}%", magnitude * 100, precision);
    case 'f':
    case 'F':
      return fmt::format(fmt::runtime(spec.alternate ? "{:#.{}f}" : "{:.{}f}"), magnitude, precision);
    default:
      break;
  }
  if (!spec.precision) return jinja_float_repr(magnitude);
  std::string text = fmt::format("{:.{}g}", magnitude, std::max(1, precision));
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

// Puts a separator between each `size` digits before the point.
std::string grouped(const std::string& digits, char separator, size_t size) {
  const size_t end = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  std::string out;
  for (size_t i = 0; i < end; ++i) {
    if (i > 0 && (end - i) % size == 0) out.push_back(separator);
    out.push_back(digits[i]);
  }
  return out + digits.substr(end);
}

JinjaString aligned(const JinjaString& text, const FormatSpec& spec, char otherwise) {
  const char align = spec.align == '\0' ? otherwise : spec.align;
  if (align != '^')
    return pad_text(text, spec.width, spec.fill, align == '<' ? JinjaSide::kRight : JinjaSide::kLeft);
  const auto missing = spec.width - static_cast<int64_t>(python_length(text.text()));
  if (missing <= 0) return text;
  const JinjaString left = pad_text(text, spec.width - (missing - missing / 2), spec.fill, JinjaSide::kLeft);
  return pad_text(left, spec.width, spec.fill, JinjaSide::kRight);
}

}  // namespace

JinjaString format_char(JinjaInt code) {
  if (code < 0 || code > 0x10ffff) jinja_fault("%c arg not in range(0x110000)");
  std::string text;
  append_utf8(text, code >= 0xd800 && code < 0xe000 ? U'\ufffd' : static_cast<char32_t>(code));
  return JinjaString(std::move(text));
}

JinjaString format_number(const JinjaValue& value, const FormatSpec& spec) {
  const bool as_float =
      value.is_float() ||
      (spec.type != '\0' && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos);
  const bool negative =
      as_float ? std::signbit(value.as_float()) && !std::isnan(value.as_float()) : value.as_int() < 0;
  std::string digits =
      as_float ? float_digits(value.as_float(), spec) : int_digits(value.as_int(), spec.type);
  if (!as_float && spec.precision && static_cast<int>(digits.size()) < *spec.precision)
    digits.insert(0, static_cast<size_t>(*spec.precision) - digits.size(), '0');
  if (spec.grouping)
    digits = grouped(
        digits, spec.grouping,
        !as_float && (spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || spec.type == 'b') ? 4 : 3);
  std::string sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  if (!as_float && spec.alternate &&
      (spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || spec.type == 'b'))
    sign += std::string("0") + spec.type;
  if (spec.align != '=') return aligned(JinjaString(sign + digits), spec, '>');
  const auto width = spec.width - static_cast<int64_t>(sign.size());
  JinjaString out(std::move(sign));
  // Zeros do not stand before what has no digits.
  const bool finite = !as_float || std::isfinite(value.as_float());
  out.append(pad_text(JinjaString(std::move(digits)), width, finite ? spec.fill : JinjaString(" "),
                      JinjaSide::kLeft));
  return out;
}

JinjaString format_value(const JinjaValue& value, const JinjaString& spec_text) {
  if (spec_text.empty()) return jinja_str(value);
  const FormatSpec spec = parse_spec(spec_text);
  if (value.is_number() && !(value.is_bool() && spec.type == 's')) {
    constexpr std::string_view kInt = "bcdoxXneEfFgG%";
    constexpr std::string_view kFloat = "eEfFgGn%";
    const std::string_view allowed = value.is_float() ? kFloat : kInt;
    if (spec.type != '\0' && allowed.find(spec.type) == std::string_view::npos)
      jinja_fault("Unknown format code '{}' for object of type '{}'", spec.type, jinja_type_name(value));
    if (!value.is_float() && spec.precision &&
        (spec.type == '\0' || kFloat.find(spec.type) == std::string_view::npos))
      jinja_fault("Precision not allowed in integer format specifier");
    if (spec.type == 'c') return aligned(format_char(value.as_int()), spec, '<');
    return format_number(value.is_float() ? value : JinjaValue::integer(value.as_int()), spec);
  }
  if (!value.is_string())
    jinja_fault("unsupported format string passed to {}.__format__", jinja_type_name(value));
  if (spec.type != '\0' && spec.type != 's')
    jinja_fault("Unknown format code '{}' for object of type 'str'", spec.type);
  if (spec.align == '=' && !spec.zero) jinja_fault("'=' alignment not allowed in string format specifier");
  if (spec.sign != '-' || spec.grouping || spec.alternate)
    jinja_fault("Sign not allowed in string format specifier");
  JinjaString text = value.text();
  if (spec.precision) text = text.slice(0, python_offset(text.text(), static_cast<size_t>(*spec.precision)));
  FormatSpec padded = spec;
  if (padded.align == '=') padded.align = '<';
  return aligned(text, padded, '<');
}

}  // namespace pare
