// JSON from outside: bounded depth, no duplicate keys, errors that name the key.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pare {

using Json = nlohmann::ordered_json;

// Parses UTF-8 JSON text, in which NaN, Infinity and -Infinity are numbers as Python has them; throws kFormat
// (naming `what`) on bad syntax, bad UTF-8, a duplicate key in an object or nesting deeper than 64.
Json parse_json(std::string_view text, std::string_view what);

// Value of `key` as T; throws kFormat naming `what` and the key when absent or of another type.
// Numbers are range-checked: a negative, fractional or too large value does not become an integer.
template <typename T>
T json_get(const Json& object, const std::string& key, std::string_view what);
// json_get, or nothing when the key is absent or null.
template <typename T>
std::optional<T> json_find(const Json& object, const std::string& key, std::string_view what);

// Instantiated for bool, int64_t, double and std::string.
extern template std::optional<bool> json_find<bool>(const Json&, const std::string&, std::string_view);
extern template std::optional<int64_t> json_find<int64_t>(const Json&, const std::string&, std::string_view);
extern template std::optional<double> json_find<double>(const Json&, const std::string&, std::string_view);
extern template std::optional<std::string> json_find<std::string>(const Json&, const std::string&,
                                                                  std::string_view);

template <typename T>
T json_get(const Json& object, const std::string& key, std::string_view what) {
  auto value = json_find<T>(object, key, what);
  if (!value) fail(ErrorCode::kFormat, "{}: key \"{}\" is missing", what, key);
  return *std::move(value);
}

}  // namespace pare
