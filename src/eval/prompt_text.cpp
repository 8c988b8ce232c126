#include "eval/prompt_text.h"

#include <algorithm>

#include "text/unicode/unicode.h"

namespace pare {
namespace {

bool is_space(const ClassedChar& c) {
  return (c.classes & kSpace) != 0 || (c.code >= 0x1c && c.code <= 0x1f);
}

bool is_continuation(char byte) { return (byte & '\xc0') == '\x80'; }

// Returns the start of the character that ends a non-empty text.
size_t last_character(std::string_view text) {
  size_t start = text.size() - 1;
  while (start > 0 && is_continuation(text[start])) --start;
  return start;
}

// Lowers code points whose other case is 32 away: letters of ASCII and Latin-1, without × and ÷.
char32_t to_lower(char32_t code) {
  const bool upper = (code >= 'A' && code <= 'Z') || (code >= 0xc0 && code <= 0xde && code != 0xd7);
  return upper ? code + 32 : code;
}

char32_t to_upper(char32_t code) {
  const bool lower = (code >= 'a' && code <= 'z') || (code >= 0xe0 && code <= 0xfe && code != 0xf7);
  return lower ? code - 32 : code;
}

}  // namespace

std::string_view strip_end(std::string_view text) {
  while (!text.empty()) {
    const size_t start = last_character(text);
    if (!is_space(char_at(text, start))) break;
    text = text.substr(0, start);
  }
  return text;
}

std::string_view strip_start(std::string_view text) {
  while (!text.empty()) {
    const ClassedChar first = char_at(text, 0);
    if (!is_space(first)) break;
    text.remove_prefix(first.length);
  }
  return text;
}

std::string_view strip(std::string_view text) { return strip_start(strip_end(text)); }

std::string_view without_last(std::string_view text) {
  return text.empty() ? text : text.substr(0, last_character(text));
}

std::string replace_all(std::string_view text, std::string_view what, std::string_view with) {
  std::string result;
  size_t done = 0;
  for (size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, done)) {
    result.append(text.substr(done, at - done)).append(with);
    done = at + what.size();
  }
  return result.append(text.substr(done));
}

std::string remove_brackets(std::string_view text) {
  std::string result;
  size_t done = 0;
  for (size_t open = text.find('['); open != std::string_view::npos; open = text.find('[', open + 1)) {
    const size_t end = text.find_first_of("]\n", open);
    if (end == std::string_view::npos) break;
    if (text[end] == '\n') continue;
    result.append(text.substr(done, open - done));
    done = end + 1;
    open = end;
  }
  return result.append(text.substr(done));
}

std::string capitalize(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const ClassedChar c = char_at(text, at);
    append_utf8(result, at == 0 ? to_upper(c.code) : to_lower(c.code));
    at += c.length;
  }
  return result;
}

std::string uncapitalize(std::string_view text) {
  if (text.empty()) return {};
  const ClassedChar first = char_at(text, 0);
  std::string result;
  append_utf8(result, to_lower(first.code));
  return result.append(text.substr(first.length));
}

int64_t character_count(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); });
}

}  // namespace pare
