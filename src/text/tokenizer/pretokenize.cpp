#include "text/tokenizer/pretokenize.h"

#include "text/unicode/unicode.h"

namespace pare {
namespace {

constexpr uint8_t kKinds = kLetter | kNumber | kSpace;

// End of the run of characters of one kind: letters, numbers or (0) neither these nor space.
size_t run_end(std::string_view text, size_t pos, uint8_t kind) {
  while (pos < text.size()) {
    const ClassedChar c = char_at(text, pos);
    if ((c.classes & kKinds) != kind) break;
    pos += c.length;
  }
  return pos;
}

// \s+(?!\S)|\s+ : the last space of a run is left to the word behind it, unless it is the only one.
size_t space_end(std::string_view text, size_t pos) {
  size_t last = pos;
  size_t end = pos;
  while (end < text.size()) {
    const ClassedChar c = char_at(text, end);
    if ((c.classes & kSpace) == 0) return last > pos ? last : end;
    last = end;
    end += c.length;
  }
  return end;
}

// Length of the contraction that follows an apostrophe, 0 if none does.
size_t contraction_length(std::string_view rest, bool any_case) {
  const auto letter = [&](size_t i) -> char {
    if (i >= rest.size()) return '\0';
    const char c = rest[i];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(0);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 1;
  if ((first == 'r' || first == 'v') && letter(1) == 'e') return 2;
  if (first == 'l' && letter(1) == 'l') return 2;
  // U+017F, the long s, is an s to a regex that ignores case.
  if (any_case && rest.substr(0, 2) == "\xc5\xbf") return 2;
  return 0;
}

bool is_newline(char c) { return c == '\r' || c == '\n'; }

// Matches from the space at `pos` on: \s*[\r\n]+|\s+(?!\S)|\s+
size_t newlines_or_space_end(std::string_view text, size_t pos) {
  const size_t spaces_end = run_end(text, pos, kSpace);
  const size_t newline = text.substr(pos, spaces_end - pos).find_last_of("\r\n");
  return newline != std::string_view::npos ? pos + newline + 1 : space_end(text, pos);
}

// The regexes of LLaMA-3 and its relatives, which differ in how many numbers make a word.
size_t llama3_like_word_end(std::string_view text, size_t pos, int max_numbers) {
  if (text[pos] == '\'') {
    const size_t length = contraction_length(text.substr(pos + 1), true);
    if (length != 0) return pos + 1 + length;
  }
  const ClassedChar c = char_at(text, pos);
  size_t end = pos + c.length;
  if ((c.classes & kLetter) != 0) return run_end(text, end, kLetter);
  if ((c.classes & kNumber) != 0) {
    for (int numbers = 1; numbers < max_numbers && end < text.size(); ++numbers) {
      const ClassedChar next = char_at(text, end);
      if ((next.classes & kNumber) == 0) break;
      end += next.length;
    }
    return end;
  }
  const uint8_t next_kind = end < text.size() ? char_at(text, end).classes & kKinds : kSpace;
  if (!is_newline(text[pos]) && next_kind == kLetter) return run_end(text, end, kLetter);
  if ((c.classes & kSpace) == 0 || (text[pos] == ' ' && next_kind == 0)) {
    end = run_end(text, end, 0);
    while (end < text.size() && is_newline(text[end])) ++end;
    return end;
  }
  return newlines_or_space_end(text, pos);
}

constexpr uint8_t kCased = kUpper | kLower;

// Returns whether a character is in U and W of Tekken's regex: letters without a case and marks are in both.
bool begins_word(const ClassedChar& c) {
  return (c.classes & kUpper) != 0 || ((c.classes & (kLetter | kMark)) != 0 && (c.classes & kCased) == 0);
}
bool ends_word(const ClassedChar& c) {
  return (c.classes & kLower) != 0 || ((c.classes & (kLetter | kMark)) != 0 && (c.classes & kCased) == 0);
}

template <typename Member>
size_t run_of(std::string_view text, size_t pos, Member member) {
  while (pos < text.size()) {
    const ClassedChar c = char_at(text, pos);
    if (!member(c)) break;
    pos += c.length;
  }
  return pos;
}

// U*W+ at `pos`: 0 when it does not match. What U* took too much it gives back.
size_t lower_word_end(std::string_view text, size_t pos) {
  size_t end = 0;  // end of the run's last character that is in W, too
  while (pos < text.size()) {
    const ClassedChar c = char_at(text, pos);
    if (!begins_word(c)) break;
    pos += c.length;
    if (ends_word(c)) end = pos;
  }
  const size_t lower = run_of(text, pos, ends_word);
  return lower > pos ? lower : end;
}

// U+W* at `pos`: 0 when it does not match.
size_t upper_word_end(std::string_view text, size_t pos) {
  const size_t upper = run_of(text, pos, begins_word);
  return upper > pos ? run_of(text, upper, ends_word) : 0;
}

}  // namespace

size_t tekken_word_end(std::string_view text, size_t pos) {
  const ClassedChar c = char_at(text, pos);
  const size_t next = pos + c.length;
  const bool prefix = !is_newline(text[pos]) && (c.classes & (kLetter | kNumber)) == 0;
  for (const auto word_end : {lower_word_end, upper_word_end}) {
    if (const size_t end = prefix ? word_end(text, next) : 0; end != 0) return end;
    if (const size_t end = word_end(text, pos); end != 0) return end;
  }
  if ((c.classes & kNumber) != 0) return next;
  const bool before_symbol =
      text[pos] == ' ' && next < text.size() && (char_at(text, next).classes & kKinds) == 0;
  if ((c.classes & kSpace) != 0 && !before_symbol) return newlines_or_space_end(text, pos);
  size_t end = run_end(text, next, 0);
  while (end < text.size() && (is_newline(text[end]) || text[end] == '/')) ++end;
  return end;
}

size_t gpt2_word_end(std::string_view text, size_t pos) {
  if (text[pos] == '\'') {
    const size_t length = contraction_length(text.substr(pos + 1), false);
    if (length != 0) return pos + 1 + length;
  }
  size_t start = pos;
  ClassedChar c = char_at(text, pos);
  if (text[pos] == ' ' && pos + 1 < text.size()) c = char_at(text, ++start);
  if ((c.classes & kSpace) != 0) return space_end(text, pos);
  return run_end(text, start + c.length, c.classes & kKinds);
}

size_t llama3_word_end(std::string_view text, size_t pos) { return llama3_like_word_end(text, pos, 3); }

size_t qwen2_word_end(std::string_view text, size_t pos) { return llama3_like_word_end(text, pos, 1); }

size_t find_numeric(std::string_view text, size_t pos) {
  while (pos < text.size()) {
    const ClassedChar c = char_at(text, pos);
    if ((c.classes & kNumeric) != 0) break;
    pos += c.length;
  }
  return pos;
}

size_t char_length(std::string_view text, size_t pos) { return char_at(text, pos).length; }

}  // namespace pare
