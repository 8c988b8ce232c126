// Counts and sizes as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace pare {

// Writes a count: 134479872 → "134.48 M"; 1536 → "1.54 KB" (powers of 1000).
std::string format_count(int64_t count);
std::string format_bytes(int64_t bytes);

}  // namespace pare
