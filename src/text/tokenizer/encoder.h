// Text to ids: normalizing, cutting, merging.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/splitter.h"
#include "text/tokenizer/symbols.h"
#include "text/tokenizer/tokenizer.h"
#include "text/tokenizer/vocab_index.h"
#include "text/tokenizer/word_cache.h"

namespace pare {

class Encoder {
 public:
  // All arguments must outlive the encoder; special: by id. Throws kFormat when merges do not fit the vocab.
  Encoder(const TokenizerSpec& spec, const IdMap& ids, const std::vector<bool>& special);

  // Appends the ids of a text of parts, without the BOS/EOS template. Safe to call from several threads.
  void encode(std::span<const TextPart> parts, bool continues, std::vector<int32_t>& out) const;

 private:
  // State of one call of encode().
  struct Call {
    const std::vector<bool>* banned;  // ids that no merge may end in; null: none
    bool continues;
    WordCache& cache;
    std::vector<int32_t>& out;
    Bpe::Scratch scratch;
  };

  // Text between added tokens that are looked for before it is normalized. plain: its plain ranges; is_first:
  // nothing stands before it.
  void encode_piece(std::string_view text, std::span<const TextRange> plain, bool is_first, Call& call) const;
  // Normalized text without added tokens.
  void encode_plain(std::string_view text, bool is_first, Call& call) const;
  void encode_bytes(std::string_view text, Call& call) const;
  void encode_chars(std::string_view text, Call& call) const;
  // Encodes characters that the pre-tokenizer leaves together.
  void encode_char_word(std::string_view text, Call& call) const;
  template <typename EncodeWord>
  void encode_cached(std::string_view word, Call& call, EncodeWord encode_new) const;
  // Appends the word's id if the word is a token as it stands; returns whether it is.
  bool encode_whole(std::string_view word, Call& call) const;
  void merge_word(std::string_view word, Call& call) const;

  // Lets a map keyed by strings be searched with a view.
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  const TokenizerSpec& spec_;
  const std::vector<bool>& special_;
  AddedTokenMatcher matcher_;
  std::optional<ByteSymbols> byte_symbols_;  // one of byte_symbols_ and char_symbols_ is set
  std::optional<CharSymbols> char_symbols_;
  Bpe bpe_;
  SpaceCuts cuts_;
  std::optional<Splitter> splitter_;  // for the kinds that have steps
  std::unordered_map<std::string, int32_t, TextHash, std::equal_to<>>
      words_;  // by their bytes in the text, for ignore_merges

  mutable std::mutex mutex_;     // guards the caches
  mutable WordCache caches_[2];  // one with special tokens banned, one without
};

}  // namespace pare
