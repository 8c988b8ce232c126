#include "text/tokenizer/byte_alphabet.h"

#include <array>

#include "text/unicode/utf8.h"

namespace pare {
namespace {

constexpr char32_t kFirstStandIn = 0x100;
constexpr char32_t kEnd = kFirstStandIn + 68;  // 68 bytes are not printable Latin-1

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

struct Alphabet {
  std::array<char32_t, 256> chars{};
  std::array<int16_t, kEnd> bytes{};
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (int16_t& byte : alphabet.bytes) byte = -1;
  char32_t stand_in = kFirstStandIn;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char32_t c = stands_for_itself(byte) ? byte : stand_in++;
    alphabet.chars[byte] = c;
    alphabet.bytes[c] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

char32_t alphabet_char(uint8_t byte) { return kAlphabet.chars[byte]; }

std::string to_alphabet(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) append_utf8(text, alphabet_char(static_cast<uint8_t>(c)));
  return text;
}

std::optional<std::string> from_alphabet(std::string_view text) {
  std::string bytes;
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (!c.valid || c.code >= kEnd || kAlphabet.bytes[c.code] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kAlphabet.bytes[c.code]));
    text.remove_prefix(c.length);
  }
  return bytes;
}

}  // namespace pare
