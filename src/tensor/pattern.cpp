#include "tensor/pattern.h"

#include <charconv>

#include "base/error.h"

namespace pare {
namespace {

bool parse_count(std::string_view text, int32_t& value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end;
}

}  // namespace

std::string pattern_name(Pattern pattern) {
  return pattern.dense() ? "dense" : fmt::format("{}:{}", pattern.kept, pattern.group);
}

Pattern parse_pattern(std::string_view text) {
  const size_t colon = text.find(':');
  Pattern pattern;
  if (colon == std::string_view::npos || !parse_count(text.substr(0, colon), pattern.kept) ||
      !parse_count(text.substr(colon + 1), pattern.group) || pattern.kept < 1 ||
      pattern.kept >= pattern.group || pattern.group > kMaxGroup)
    fail(ErrorCode::kUsage, "pattern '{}' is not N:M with 1 <= N < M <= {}", text, kMaxGroup);
  return pattern;
}

}  // namespace pare
