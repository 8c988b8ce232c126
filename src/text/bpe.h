// Byte-pair merging of one word.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/merge_table.h"

namespace pare {

// Merges the bytes of words, lowest rank first, leftmost among equals. n log n in the length of the word.
class Bpe {
 public:
  // byte_ids: the token of each byte, -1 if it has none. Such a byte becomes `unknown` (a run of them only
  // one, with fuse_unknown) or, without it, nothing, as in the `tokenizers` library.
  Bpe(std::array<int32_t, 256> byte_ids, MergeTable merges, std::optional<int32_t> unknown,
      bool fuse_unknown);

  // Memory of encode() that can be used again.
  struct Scratch {
    struct Symbol {
      int32_t id;
      int32_t previous;  // index, -1 at the start
      int32_t next;      // index, -1 at the end
      Merge merge;       // with `next`; rank kNone when there is none
    };
    std::vector<Symbol> symbols;
    std::vector<uint64_t> queue;
  };

  // Appends the ids of a word shorter than 2^31 bytes. Merges that end in an id for which banned[id] is set
  // are left out; banned may be null.
  void encode(std::string_view word, const std::vector<bool>* banned, Scratch& scratch,
              std::vector<int32_t>& ids) const;

 private:
  void read_symbols(std::string_view word, std::vector<Scratch::Symbol>& symbols) const;

  std::array<int32_t, 256> byte_ids_;
  MergeTable merges_;
  std::optional<int32_t> unknown_;
  bool fuse_unknown_;
};

}  // namespace pare
