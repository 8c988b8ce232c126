// Reading a regex of the `tokenizers` library (Oniguruma's syntax) as sets of characters and what joins them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/unicode/char_set.h"

namespace pare {

// One item that matches a character of `set`, an index into RegexSyntax::sets, or, where set is kNone,
// operators that mean the same in PCRE2's syntax.
struct RegexPiece {
  static constexpr size_t kNone = SIZE_MAX;
  std::string operators;
  size_t set = kNone;
  bool operator==(const RegexPiece&) const = default;
};

struct RegexSyntax {
  static constexpr size_t kMaxBytes = 16384;
  static constexpr size_t kMaxSets = 512;
  static constexpr int kMaxDepth = 64;

  std::vector<CharSet> sets;  // all different
  std::vector<RegexPiece> pieces;
  bool operator==(const RegexSyntax&) const = default;
};

// Throws kUnsupported naming what of the syntax is not there (references to groups, named groups, flags other
// than i, upper and lower case of letters beyond ASCII, …) or which limit is exceeded, and kFormat when the
// pattern is broken.
RegexSyntax parse_regex(std::string_view pattern);

}  // namespace pare
