// Reading the keys of a config.json.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace pare::config_keys {

inline constexpr std::string_view kWhat = "config.json";

inline int64_t get_int(const Json& object, const char* key) { return json_get<int64_t>(object, key, kWhat); }
inline int64_t get_int(const Json& object, const char* key, int64_t fallback) {
  return json_find<int64_t>(object, key, kWhat).value_or(fallback);
}
inline double get_number(const Json& object, const char* key, double fallback) {
  return json_find<double>(object, key, kWhat).value_or(fallback);
}
inline bool get_bool(const Json& object, const char* key, bool fallback) {
  return json_find<bool>(object, key, kWhat).value_or(fallback);
}

inline void require_object(const Json& value, const char* key) {
  if (!value.is_object())
    fail(ErrorCode::kFormat, "{}: \"{}\" is {}, expected an object", kWhat, key, value.type_name());
}

}  // namespace pare::config_keys
