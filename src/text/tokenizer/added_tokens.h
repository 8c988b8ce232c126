// Finding added tokens in text before it is cut into words, by the rules of the `tokenizers` library.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer/normalizer.h"

namespace pare {

struct AddedToken {
  std::string text;
  int32_t id = 0;
  bool special = false;      // left out of decoded text, and never read from text that is marked as user text
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space behind it
  bool single_word = false;  // does not match inside a word
  bool normalized = false;   // looked for after the others, in what they left
};

// A piece of text: an added token (id >= 0) or plain text (id -1).
struct TextPiece {
  std::string_view text;
  int32_t id = -1;
};

// Bytes [begin, end) of a text.
struct TextRange {
  size_t begin = 0;
  size_t end = 0;
};

class AddedTokenMatcher {
 public:
  // Tokens that are normalized are looked for in their normal form.
  AddedTokenMatcher(const std::vector<AddedToken>& tokens, const std::vector<NormalizerStep>& normalizer);

  // Cuts text at its added tokens, leftmost first, longest among those. Special tokens that touch one of the
  // plain ranges (sorted, disjoint) are plain text. Time: length of text times length of the longest added
  // token, at worst.
  std::vector<TextPiece> split(std::string_view text, std::span<const TextRange> plain) const {
    return split_at(exact_, text, plain);
  }
  // split() for the tokens that are looked for in normalized text: the parts that split() left, normalized.
  std::vector<TextPiece> split_normalized(std::string_view text, std::span<const TextRange> plain) const {
    return split_at(normalized_, text, plain);
  }

 private:
  // The tokens of one pass as a tree of bytes.
  class Trie {
   public:
    void insert(const std::string& text, size_t token);
    bool empty() const { return edges_.empty(); }
    // Leftmost-longest match at or after `pos`; false when there is none.
    bool find(std::string_view text, size_t pos, size_t& start, size_t& end, size_t& token) const;

   private:
    static constexpr size_t kNone = SIZE_MAX;
    std::unordered_map<uint64_t, uint32_t> edges_;  // node * 256 + byte -> node
    std::vector<size_t> token_of_node_{kNone};
    std::array<bool, 256> starts_{};
  };

  std::vector<TextPiece> split_at(const Trie& trie, std::string_view text,
                                  std::span<const TextRange> plain) const;

  std::vector<AddedToken> tokens_;
  Trie exact_;
  Trie normalized_;
};

}  // namespace pare
