// The one helper for sizes that come from files: every sum and product is checked.
#pragma once

#include <cstdint>
#include <span>

#include "base/error.h"

namespace pare {

// a * b; throws kFormat naming `what` on overflow.
inline uint64_t checked_mul(uint64_t a, uint64_t b, const char* what) {
  uint64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result))
    fail(ErrorCode::kFormat, "{}: {} * {} overflows 64 bits", what, a, b);
  return result;
}

// a + b; throws kFormat naming `what` on overflow.
inline uint64_t checked_add(uint64_t a, uint64_t b, const char* what) {
  uint64_t result = 0;
  if (__builtin_add_overflow(a, b, &result))
    fail(ErrorCode::kFormat, "{}: {} + {} overflows 64 bits", what, a, b);
  return result;
}

// Product of all dimensions (1 for a scalar); throws kFormat on a negative dimension or overflow.
inline uint64_t checked_product(std::span<const int64_t> dims, const char* what) {
  uint64_t result = 1;
  for (const int64_t d : dims) {
    if (d < 0) fail(ErrorCode::kFormat, "{}: negative dimension {}", what, d);
    result = checked_mul(result, static_cast<uint64_t>(d), what);
  }
  return result;
}

}  // namespace pare
