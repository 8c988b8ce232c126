// Patterns: which values of a matrix may differ from zero.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pare {

// N:M sparsity: of every `group` consecutive values of a row at most `kept` are not zero. The default is
// dense.
struct Pattern {
  int32_t kept = 0;
  int32_t group = 0;

  constexpr bool dense() const { return group == 0; }
  friend constexpr bool operator==(const Pattern&, const Pattern&) = default;
};

inline constexpr Pattern kDense{};
inline constexpr Pattern k2of4{2, 4};
inline constexpr int32_t kMaxGroup = 32;

// Returns "2:4" and the like, or "dense".
std::string pattern_name(Pattern pattern);
// Reads N:M with 1 <= N < M <= kMaxGroup. Throws kUsage naming the text.
Pattern parse_pattern(std::string_view text);

}  // namespace pare
