// Character classes, as the regexes of the `tokenizers` library see them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/unicode/utf8.h"

namespace pare {

// A set of classes is the sum of these bits; 0 is everything else (punctuation, symbols, controls, bad
// bytes).
enum CharClass : uint8_t {
  kLetter = 1,     // \p{L}
  kNumber = 2,     // \p{N}
  kSpace = 4,      // \s
  kNumeric = 8,    // numbers that the pre-tokenizer Digits cuts out: \p{N} of a newer Unicode version
  kWordChar = 16,  // \w, beside which a single_word added token does not match
  kUpper = 32,     // [\p{Lu}\p{Lt}]
  kLower = 64,     // \p{Ll}
  kMark = 128      // \p{M}
};

// Classes of a code point; 0 beyond U+10FFFF.
uint8_t char_classes(char32_t code);

namespace internal {
constexpr std::array<uint8_t, 128> make_ascii_classes() {
  std::array<uint8_t, 128> classes{};
  for (int c = 'a'; c <= 'z'; ++c) classes[c] = kLetter | kWordChar | kLower;
  for (int c = 'A'; c <= 'Z'; ++c) classes[c] = kLetter | kWordChar | kUpper;
  for (int c = '0'; c <= '9'; ++c) classes[c] = kNumber | kNumeric | kWordChar;
  for (int c = '\t'; c <= '\r'; ++c) classes[c] = kSpace;
  classes[' '] = kSpace;
  classes['_'] = kWordChar;
  return classes;
}
inline constexpr std::array<uint8_t, 128> kAsciiClasses = make_ascii_classes();
}  // namespace internal

struct ClassedChar {
  char32_t code;
  uint8_t length;  // bytes
  uint8_t classes;
};

// The character at byte `pos` < text.size(); an invalid sequence is one character without a class.
inline ClassedChar char_at(std::string_view text, size_t pos) {
  const auto byte = static_cast<unsigned char>(text[pos]);
  if (byte < 128) return {byte, 1, internal::kAsciiClasses[byte]};
  const Utf8Char c = decode_utf8(text.substr(pos));
  return {c.code, c.length, c.valid ? char_classes(c.code) : uint8_t{0}};
}

}  // namespace pare
