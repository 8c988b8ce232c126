// Regexes that cut text, with the meaning that the `tokenizers` library gives them, matched by PCRE2.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "text/tokenizer/regex_syntax.h"
#include "text/unicode/char_set.h"
#include "text/unicode/code_point_table.h"

namespace pare {

// Characters that no set of the pattern tells apart are one symbol: PCRE2 matches bytes, each standing for a
// character, and knows nothing of Unicode. What a character is comes from the tables of the project alone.
class Regex {
 public:
  // A pattern in Oniguruma's syntax. Throws what parse_regex throws, and kUnsupported when the pattern is too
  // large.
  explicit Regex(std::string_view pattern);
  // Returns a regex that matches this text, or one character of this set.
  static Regex of_text(std::string_view text);
  static Regex of_set(const CharSet& set);
  // Returns a regex that matches a run of word characters, or of others that are not white space.
  static Regex of_words();
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // Appends a symbol for every character of text; bytes that are no character count as one (utf8.h).
  void append_symbols(std::string_view text, std::string& symbols) const;
  // Appends a symbol for every byte of text, as the byte-level alphabet of GPT-2 writes it.
  void append_byte_symbols(std::string_view text, std::string& symbols) const;

 private:
  friend class RegexMatcher;
  struct Code;

  Regex(const RegexSyntax& syntax, std::string pattern);

  std::string pattern_;  // for messages
  std::unique_ptr<Code> code_;
};

struct RegexMatch {
  size_t begin;
  size_t end;
};

// Finds matches of a regex; for one thread. What its searches cost is bounded all together.
class RegexMatcher {
 public:
  explicit RegexMatcher(const Regex& regex);
  ~RegexMatcher();
  RegexMatcher(RegexMatcher&&) noexcept;
  RegexMatcher& operator=(RegexMatcher&&) noexcept;

  // The first match at or behind `from` <= symbols.size(), in symbols. Throws kInvalid when the regex tries
  // too many ways to match.
  std::optional<RegexMatch> find(std::string_view symbols, size_t from);

 private:
  struct State;

  // Runs PCRE2's code; the match is then in the state.
  int match(std::string_view symbols, size_t from, uint32_t options, uint32_t steps);

  const Regex* regex_;
  std::unique_ptr<State> state_;
};

}  // namespace pare
