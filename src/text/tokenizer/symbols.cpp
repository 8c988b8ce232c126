#include "text/tokenizer/symbols.h"

#include <algorithm>

#include "text/unicode/utf8.h"

namespace pare {
namespace {

constexpr char32_t kLowEnd = 0x10000;

}  // namespace

void ByteSymbols::read(std::string_view word, std::vector<int32_t>& symbols) const {
  bool after_unknown = false;
  for (const char c : word) {
    int32_t id = ids_[static_cast<uint8_t>(c)];
    const bool is_unknown = id < 0;
    if (is_unknown) {
      if (!unknown_.id || (after_unknown && unknown_.fuse)) continue;
      id = *unknown_.id;
    }
    after_unknown = is_unknown;
    symbols.push_back(id);
  }
}

CharSymbols::CharSymbols(const std::unordered_map<char32_t, int32_t>& chars,
                         const std::array<int32_t, 256>& bytes, UnknownSymbol unknown)
    : low_(kLowEnd, -1), bytes_(bytes), unknown_(unknown) {
  for (const auto& [code, id] : chars) {
    if (code < kLowEnd)
      low_[code] = id;
    else
      high_.emplace(code, id);
  }
}

int32_t CharSymbols::id_of(char32_t code) const {
  if (code < kLowEnd) return low_[code];
  const auto it = high_.find(code);
  return it == high_.end() ? -1 : it->second;
}

// A file may call a special token by the name of a byte: such tokens are banned like any other.
bool CharSymbols::append_bytes(std::string_view bytes, const std::vector<bool>* banned,
                               std::vector<int32_t>& symbols) const {
  const auto id = [this](char c) { return bytes_[static_cast<uint8_t>(c)]; };
  const auto missing = [&](char c) { return id(c) < 0 || (banned != nullptr && (*banned)[id(c)]); };
  if (std::any_of(bytes.begin(), bytes.end(), missing)) return false;
  for (const char c : bytes) symbols.push_back(id(c));
  return true;
}

void CharSymbols::read(std::string_view word, const std::vector<bool>* banned,
                       std::vector<int32_t>& symbols) const {
  // The library hands out an unknown symbol when the next character with a token comes, so after the bytes
  // between the two.
  bool pending = false;
  while (!word.empty()) {
    const Utf8Char c = decode_utf8(word);
    const size_t length = c.valid ? c.length : 1;
    const int32_t id = c.valid ? id_of(c.code) : -1;
    if (id >= 0 && (banned == nullptr || !(*banned)[id])) {
      if (pending) symbols.push_back(*unknown_.id);
      pending = false;
      symbols.push_back(id);
    } else if (!append_bytes(word.substr(0, length), banned, symbols) && unknown_.id) {
      if (pending && !unknown_.fuse) symbols.push_back(*unknown_.id);
      pending = true;
    }
    word.remove_prefix(length);
  }
  if (pending) symbols.push_back(*unknown_.id);
}

}  // namespace pare
