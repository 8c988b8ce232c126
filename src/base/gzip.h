// gzip files, unpacked in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pare {

// Returns whether the bytes begin as a gzip file does (RFC 1952).
bool is_gzip(std::string_view bytes);

// The bytes of all members of a gzip file, one behind another; zeros behind the last one are passed over.
// Throws kFormat naming `what` when the data is damaged, ends early, has other bytes behind it, or unpacks to
// more than max_bytes.
std::string gunzip(std::string_view bytes, uint64_t max_bytes, std::string_view what);

}  // namespace pare
