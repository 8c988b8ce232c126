// UTF-8, strictly (no surrogates, no overlong forms, nothing beyond U+10FFFF).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pare {

struct Utf8Char {
  char32_t code;  // meaningless unless valid
  uint8_t
      length;  // bytes; of an invalid sequence, the longest part that could begin a character (at least 1)
  bool valid;
  bool truncated;  // invalid only because the text ends inside the character
};

// The character at the start of a non-empty text.
Utf8Char decode_utf8(std::string_view text);

// Bytes of a code point <= U+10FFFF.
void append_utf8(std::string& out, char32_t code);

// Appends text with each invalid sequence as one U+FFFD, as Python's errors="replace" does.
void append_replacing_invalid(std::string& out, std::string_view text);

// Length of an incomplete character at the end of text, 0 if there is none.
size_t truncated_tail(std::string_view text);

}  // namespace pare
