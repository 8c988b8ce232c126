#include "base/quantities.h"

#include <fmt/format.h>

#include <iterator>

namespace pare {
namespace {

std::string format_scaled(int64_t count, const char* unit) {
  constexpr const char* kPrefixes[] = {"", "K", "M", "G", "T"};
  auto value = static_cast<double>(count);
  size_t prefix = 0;
  while (value >= 1000.0 && prefix + 1 < std::size(kPrefixes)) {
    value /= 1000.0;
    ++prefix;
  }
  const std::string suffix = fmt::format("{}{}", kPrefixes[prefix], unit);
  const std::string number = prefix == 0 ? fmt::format("{}", count) : fmt::format("{:.2f}", value);
  return suffix.empty() ? number : number + " " + suffix;
}

}  // namespace

std::string format_count(int64_t count) { return format_scaled(count, ""); }
std::string format_bytes(int64_t bytes) { return format_scaled(bytes, "B"); }

}  // namespace pare
