// Fields of a request's body.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace pare {

// Name of the body in error messages.
inline constexpr const char* kRequest = "request";
// The largest count that a request may name.
inline constexpr int64_t kMaxCount = 1 << 30;

// The field, or null when it is absent.
const Json& field(const Json& body, const char* key);
// A whole number, also one that is written as 3.0; nothing for anything else and for what 64 bits do not
// hold.
std::optional<int64_t> whole_number(const Json& value);
// A number in [low, high], `otherwise` when it is absent or null. Throws kFormat and kInvalid naming the
// field.
double number(const Json& body, const char* key, double otherwise, double low, double high);
// number() for whole numbers.
int64_t integer(const Json& body, const char* key, int64_t otherwise, int64_t low, int64_t high);
// Reads a boolean; false when it is absent or null. Throws kFormat naming the field.
bool boolean(const Json& body, const char* key, bool otherwise = false);

}  // namespace pare
