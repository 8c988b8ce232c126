// Characters as Python's str knows them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/jinja/origin_string.h"

namespace pare {

enum PythonClass : uint16_t {
  kPyPrintable = 1 << 0,
  kPyAlpha = 1 << 1,
  kPyDecimal = 1 << 2,
  kPyDigit = 1 << 3,
  kPyNumeric = 1 << 4,
  kPyUpper = 1 << 5,
  kPyLower = 1 << 6,
  kPyTitle = 1 << 7,
  kPyCased = 1 << 8,
  kPyCaseIgnorable = 1 << 9,
  kPySpace = 1 << 10,
  kPyIdentifierStart = 1 << 11,
  kPyIdentifierPart = 1 << 12,
  kPyAlnum = kPyAlpha | kPyDecimal | kPyDigit | kPyNumeric
};

// A sum of PythonClass bits.
uint16_t python_classes(char32_t code);

// A character of a text. An invalid sequence of bytes is one character without a class.
struct PythonChar {
  char32_t code = 0;
  size_t begin = 0;  // byte
  size_t end = 0;
  bool valid = true;

  uint16_t classes() const { return valid ? python_classes(code) : uint16_t{0}; }
  bool is(PythonClass bit) const { return (classes() & bit) != 0; }
};
// The character at byte pos < text.size(), and the one that ends at byte pos > 0. Reading spends the current
// JinjaMeter's work.
PythonChar python_char_at(std::string_view text, size_t pos);
PythonChar python_char_before(std::string_view text, size_t pos);

bool is_ascii(std::string_view text);
// Characters, as Python's len counts them.
size_t python_length(std::string_view text);
// The byte where character number `index` begins; size() where there are fewer.
size_t python_offset(std::string_view text, size_t index);

// str's methods of the same names. Each character's mapping has its origin.
JinjaString python_lower(const JinjaString& text);
JinjaString python_upper(const JinjaString& text);
JinjaString python_title(const JinjaString& text);
JinjaString python_capitalize(const JinjaString& text);
JinjaString python_swapcase(const JinjaString& text);
bool python_is_upper(std::string_view text);
bool python_is_lower(std::string_view text);
bool python_is_title(std::string_view text);
// Returns whether the text is not empty and every character has one of the bits.
bool python_all(std::string_view text, uint16_t any_of);

// The value, 0 to 9, of a decimal digit of any script, else -1.
int python_digit(char32_t code);

// repr(): the quotes are of the origin of the template, what is quoted and escaped keeps its own.
JinjaString python_repr(const JinjaString& text);

// A text without Python's white space at both ends.
std::string_view python_strip(std::string_view text);

}  // namespace pare
