// The symbols that a word consists of before anything is merged.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pare {

// Symbol of text without a token: `id`; a run of such text is one symbol, with `fuse`. Without an id, such
// text is dropped, as in the `tokenizers` library.
struct UnknownSymbol {
  std::optional<int32_t> id;
  bool fuse = false;
};

// A symbol for every byte.
class ByteSymbols {
 public:
  // ids: the token of each byte, -1 if it has none.
  ByteSymbols(const std::array<int32_t, 256>& ids, UnknownSymbol unknown) : ids_(ids), unknown_(unknown) {}
  // Appends the symbols of a word.
  void read(std::string_view word, std::vector<int32_t>& symbols) const;

 private:
  std::array<int32_t, 256> ids_;
  UnknownSymbol unknown_;
};

// A symbol for every character; the tokens of its bytes for one that has none.
class CharSymbols {
 public:
  // chars: the token of each character that has one; bytes: -1 where there is no such token.
  CharSymbols(const std::unordered_map<char32_t, int32_t>& chars, const std::array<int32_t, 256>& bytes,
              UnknownSymbol unknown);
  // Appends the symbols of a word; characters whose token is banned count as having none. banned may be null.
  // Invalid bytes are read one by one.
  void read(std::string_view word, const std::vector<bool>* banned, std::vector<int32_t>& symbols) const;

 private:
  int32_t id_of(char32_t code) const;
  bool append_bytes(std::string_view bytes, const std::vector<bool>* banned,
                    std::vector<int32_t>& symbols) const;

  std::vector<int32_t> low_;  // by code point
  std::unordered_map<char32_t, int32_t> high_;
  std::array<int32_t, 256> bytes_;
  UnknownSymbol unknown_;
};

}  // namespace pare
