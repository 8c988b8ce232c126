// The byte-to-unicode alphabet of GPT-2, in which vocabularies of byte-level BPE are written: printable
// Latin-1 bytes stand for themselves, the others for U+0100 and up, in order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pare {

// The character that stands for a byte.
char32_t alphabet_char(uint8_t byte);
// Bytes written in the alphabet.
std::string to_alphabet(std::string_view bytes);
// The bytes that text stands for; nothing when it has a character outside the alphabet.
std::optional<std::string> from_alphabet(std::string_view text);

}  // namespace pare
