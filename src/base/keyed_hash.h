// Hashes for tables whose keys come from outside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pare {

// SipHash-2-4 (Aumasson, Bernstein 2012): who does not know the key cannot choose texts of equal hashes.
uint64_t siphash(uint64_t key0, uint64_t key1, std::string_view bytes);

// Hashes with a random key of this process.
size_t keyed_hash(std::string_view bytes);

}  // namespace pare
