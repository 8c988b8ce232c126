// Byte-pair merging of one word.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "text/tokenizer/merge_table.h"

namespace pare {

// Merges the symbols of words, lowest rank first, leftmost among equals. n log n in the length of the word.
class Bpe {
 public:
  explicit Bpe(MergeTable merges) : merges_(std::move(merges)) {}

  // Memory of encode() that later calls use again.
  struct Scratch {
    struct Node {
      int32_t id;
      int32_t previous;  // index, -1 at the start
      int32_t next;      // index, -1 at the end
      Merge merge;       // merge with `next`; rank kNone when there is none
    };
    std::vector<int32_t> symbols;  // symbols of the word, set by the caller
    std::vector<Node> nodes;
    std::vector<uint64_t> queue;
  };

  // Appends what scratch.symbols, fewer than 2^31, become. Merges that end in an id for which banned[id] is
  // set are left out; banned may be null.
  void encode(const std::vector<bool>* banned, Scratch& scratch, std::vector<int32_t>& ids) const;

 private:
  MergeTable merges_;
};

}  // namespace pare
