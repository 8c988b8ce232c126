#include "serve/api_fields.h"

#include <cmath>
#include <limits>

namespace pare {

const Json& field(const Json& body, const char* key) {
  static const Json kNothing;
  const auto found = body.find(key);
  return found == body.end() ? kNothing : *found;
}

std::optional<int64_t> whole_number(const Json& value) {
  if (value.is_number_unsigned() && value.get<uint64_t>() > std::numeric_limits<int64_t>::max()) return {};
  if (value.is_number_integer()) return value.get<int64_t>();
  constexpr double kExact = 0x1p53;  // whole numbers up to here are doubles
  if (!value.is_number_float()) return {};
  const double real = value.get<double>();
  if (!(std::abs(real) <= kExact) || real != std::trunc(real)) return {};
  return static_cast<int64_t>(real);
}

double number(const Json& body, const char* key, double otherwise, double low, double high) {
  const double value = json_find<double>(body, key, kRequest).value_or(otherwise);
  if (!(value >= low && value <= high))
    fail(ErrorCode::kInvalid, "\"{}\" is {}, expected {} to {}", key, value, low, high);
  return value;
}

int64_t integer(const Json& body, const char* key, int64_t otherwise, int64_t low, int64_t high) {
  const Json& value = field(body, key);
  if (value.is_null()) return otherwise;
  const std::optional<int64_t> whole = whole_number(value);
  if (!whole)
    fail(ErrorCode::kFormat, "\"{}\" is {}, expected a whole number", key, value.dump().substr(0, 80));
  if (*whole < low || *whole > high)
    fail(ErrorCode::kInvalid, "\"{}\" is {}, expected {} to {}", key, *whole, low, high);
  return *whole;
}

bool boolean(const Json& body, const char* key, bool otherwise) {
  return json_find<bool>(body, key, kRequest).value_or(otherwise);
}

}  // namespace pare
