// SHA-256, to name texts and files in reports.
#pragma once

#include <string>
#include <string_view>

namespace pare {

// Lower-case hexadecimal SHA-256 of the bytes (64 characters).
std::string sha256_hex(std::string_view bytes);

}  // namespace pare
