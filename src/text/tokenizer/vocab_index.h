// A tokenizer's parts checked against each other and made searchable.
#pragma once

#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "text/tokenizer/merge_table.h"
#include "text/tokenizer/symbols.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

using IdMap = std::unordered_map<std::string_view, int32_t>;

// Ids by text, of vocab and added tokens; views of spec's strings. Throws kFormat when a text has two ids or
// an id two texts, and kUnsupported when there are too many.
IdMap index_tokens(const TokenizerSpec& spec);

// Throws kFormat when a part of a merge or its result is not in the vocabulary.
MergeTable make_merge_table(const TokenizerSpec& spec, const IdMap& ids);

// The tokens of the 256 bytes, -1 for one without: written in the alphabet of GPT-2, or as <0x0A>.
std::array<int32_t, 256> alphabet_ids(const IdMap& ids);
std::array<int32_t, 256> byte_token_ids(const IdMap& ids);

// The tokens of one character.
std::unordered_map<char32_t, int32_t> char_ids(const TokenizerSpec& spec);

// Places where words that begin with the space sign "▁" (U+2581) may be cut off the text before, without any
// merge across the cut.
class SpaceCuts {
 public:
  // Makes no cuts at all.
  SpaceCuts() = default;
  // Cuts at every sign.
  static SpaceCuts everywhere();
  // Cuts behind characters that stand before a sign in no merged token.
  SpaceCuts(const TokenizerSpec& spec, const IdMap& ids);

  // End of the word that begins at `pos` < text.size().
  size_t word_end(std::string_view text, size_t pos) const;

 private:
  bool enabled_ = false;
  bool joins_itself_ = false;             // a sign before a sign
  std::unordered_set<char32_t> joining_;  // other characters that may stand before a sign
};

}  // namespace pare
