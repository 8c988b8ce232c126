#include "text/jinja/lexer_strings.h"

#include <charconv>
#include <iterator>

#include "text/jinja/fault.h"
#include "text/jinja/python_text.h"
#include "text/unicode/utf8.h"

namespace pare {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// jinja2 first writes characters beyond ASCII as escapes, then resolves all escapes: a backslash before such
// a character escapes the backslash of that new escape.
std::string ascii_with_escapes(std::string_view text) {
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    const PythonChar c = python_char_at(text, pos);
    const auto code = static_cast<uint32_t>(c.valid ? c.code : U'\ufffd');
    if (code < 128) {
      out.push_back(text[pos]);
    } else if (code < 0x100) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", code);
    } else if (code < 0x10000) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", code);
    } else {
      fmt::format_to(std::back_inserter(out), "\\U{:08x}", code);
    }
    pos = c.end;
  }
  return out;
}

// Reads `digits` hexadecimal digits at pos.
char32_t hex_escape(std::string_view text, size_t& pos, size_t digits) {
  char32_t code = 0;
  for (size_t i = 0; i < digits; ++i, ++pos) {
    const int digit = pos < text.size() ? hex_digit(text[pos]) : -1;
    if (digit < 0) jinja_fault("truncated \\{}{} escape", "xuU"[digits / 4], std::string(digits, 'X'));
    code = code * 16 + static_cast<char32_t>(digit);
  }
  if (code > 0x10ffff) jinja_fault("illegal Unicode character");
  return code >= 0xd800 && code < 0xe000 ? U'\ufffd' : code;
}

char32_t octal_escape(std::string_view text, size_t& pos) {
  char32_t code = 0;
  for (int i = 0; i < 3 && pos < text.size() && text[pos] >= '0' && text[pos] <= '7'; ++i, ++pos)
    code = code * 8 + static_cast<char32_t>(text[pos] - '0');
  return code;
}

bool is_digit_of(char c, int base) {
  const int digit = hex_digit(c);
  return digit >= 0 && digit < base;
}

// Returns how far "digits possibly _ separated" go from pos on.
size_t scan_digits(std::string_view text, size_t pos, int base) {
  while (pos < text.size()) {
    if (is_digit_of(text[pos], base)) {
      ++pos;
    } else if (text[pos] == '_' && pos + 1 < text.size() && is_digit_of(text[pos + 1], base)) {
      pos += 2;
    } else {
      break;
    }
  }
  return pos;
}

std::string without_underscores(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c != '_') out.push_back(c);
  return out;
}

}  // namespace

std::string unescape_jinja_string(std::string_view quoted) {
  std::string text = is_ascii(quoted) || quoted.find('\\') == std::string_view::npos
                         ? std::string(quoted)
                         : ascii_with_escapes(quoted);
  if (text.find('\\') == std::string::npos) return text;
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    if (text[pos] != '\\') {
      out.push_back(text[pos++]);
      continue;
    }
    if (++pos == text.size()) jinja_fault("\\ at end of string");
    const char c = text[pos];
    constexpr std::string_view kFrom = "\\'\"abfnrtv";
    constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t at = kFrom.find(c); at != std::string_view::npos) {
      out.push_back(kTo[at]);
      ++pos;
    } else if (c == '\n') {
      ++pos;
    } else if (c >= '0' && c <= '7') {
      append_utf8(out, octal_escape(text, pos));
    } else if (c == 'x' || c == 'u' || c == 'U') {
      append_utf8(out, hex_escape(text, ++pos, c == 'x' ? 2 : c == 'u' ? 4 : 8));
    } else if (c == 'N') {
      jinja_unsupported("the escape \\N of a character's name is not supported");
    } else {
      out.push_back('\\');
    }
  }
  return out;
}

size_t scan_jinja_float(std::string_view text) {
  const size_t whole = is_digit_of(text.empty() ? ' ' : text[0], 10) ? scan_digits(text, 0, 10) : 0;
  if (whole == 0) return 0;
  size_t end = whole;
  if (end + 1 < text.size() && text[end] == '.' && is_digit_of(text[end + 1], 10))
    end = scan_digits(text, end + 1, 10);
  size_t exponent = end;
  if (exponent < text.size() && (text[exponent] | 0x20) == 'e') {
    ++exponent;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
    if (exponent < text.size() && is_digit_of(text[exponent], 10)) return scan_digits(text, exponent, 10);
  }
  return end > whole ? end : 0;
}

size_t scan_jinja_integer(std::string_view text) {
  if (text.empty() || !is_digit_of(text[0], 10)) return 0;
  if (text[0] != '0') return scan_digits(text, 0, 10);
  if (text.size() > 2) {
    const char mark = static_cast<char>(text[1] | 0x20);
    const int base = mark == 'b' ? 2 : mark == 'o' ? 8 : mark == 'x' ? 16 : 0;
    if (base) {
      const size_t end = scan_digits(text, 2, base);
      if (end > 2) return end;
    }
  }
  return scan_digits(text, 0, 1);
}

JinjaValue jinja_float_literal(std::string_view text) {
  const std::string digits = without_underscores(text);
  double value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ec == std::errc::result_out_of_range) value = std::strtod(digits.c_str(), nullptr);
  return JinjaValue::real(value);
}

JinjaValue jinja_integer_literal(std::string_view text) {
  std::string digits = without_underscores(text);
  int base = 10;
  if (digits.size() > 2 && digits[0] == '0') {
    const char mark = static_cast<char>(digits[1] | 0x20);
    base = mark == 'b' ? 2 : mark == 'o' ? 8 : mark == 'x' ? 16 : 10;
    if (base != 10) digits.erase(0, 2);
  }
  JinjaInt value = 0;
  for (const char c : digits)
    if (__builtin_mul_overflow(value, JinjaInt{base}, &value) ||
        __builtin_add_overflow(value, JinjaInt{hex_digit(c)}, &value))
      jinja_unsupported("an integer beyond 127 bits is not supported");
  return JinjaValue::integer(value);
}

}  // namespace pare
