// Text to token ids and back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/added_tokens.h"
#include "text/pretokenize.h"

namespace pare {

// Everything a byte-level BPE tokenizer is made of, whatever file it came from.
struct TokenizerSpec {
  std::vector<std::string> vocab;  // by id, in the byte-to-unicode alphabet of GPT-2; empty: no such id
  std::vector<std::pair<std::string, std::string>> merges;  // by rank; both and their join are in vocab
  PreTokenizer pre_tokenizer = PreTokenizer::kGpt2;
  std::vector<AddedToken> added;   // in vocab under the same id, or not at all
  bool ignore_merges = false;      // a word that is a token as it stands is not merged (LLaMA-3)
  bool add_prefix_space = false;   // kGpt2 only
  std::optional<int32_t> unknown;  // what a byte without a token becomes; without it, such a byte is dropped
  bool fuse_unknown = false;       // a run of such bytes is one unknown
  std::vector<int32_t> prefix;     // ids put before / after every text when asked to (BOS / EOS templates)
  std::vector<int32_t> suffix;
};

struct EncodeOptions {
  bool add_special_tokens = false;  // apply the BOS/EOS template
  bool parse_special = true;        // read special tokens written in the text as such
};

class Tokenizer {
 public:
  static constexpr int32_t kMaxVocab = 1 << 20;

  // Throws kFormat / kUnsupported when the parts contradict each other.
  explicit Tokenizer(TokenizerSpec spec);
  // From the text of a tokenizer.json; throws kFormat, or kUnsupported naming the part pare does not have.
  static Tokenizer from_json(std::string_view json);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // Any bytes below 2 GiB are accepted; invalid UTF-8 is encoded byte by byte. Time is linear in the text,
  // times a logarithm in single words. Without parse_special no id is special, unless a byte has no other
  // token. Safe to call from several threads.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  // The bytes of the ids, which need not be valid UTF-8. Ids outside the vocabulary throw kInvalid.
  std::string decode(const std::vector<int32_t>& ids, bool skip_special = true) const;
  // The raw bytes of one token (added tokens: their text; an id that vocab leaves out: none).
  const std::string& token_bytes(int32_t id) const;
  bool is_special(int32_t id) const;
  // By its text as vocab and added write it.
  std::optional<int32_t> token_id(std::string_view text) const;
  // One more than the largest id.
  int32_t vocab_size() const;
  const TokenizerSpec& spec() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The text of a tokenizer.json from which `tokenizers` makes the same tokenizer. Throws kFormat when a token
// is not UTF-8.
std::string tokenizer_json(const TokenizerSpec& spec);

// Joins the bytes of streamed tokens and hands out only whole code points. The tokenizer must outlive it.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}
  // Text that became complete with this token (may be empty). Invalid bytes become U+FFFD.
  std::string push(int32_t id);
  // What is left at the end: an incomplete code point becomes U+FFFD.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::string pending_;
};

}  // namespace pare
