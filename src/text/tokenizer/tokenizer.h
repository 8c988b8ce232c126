// Text to token ids and back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/pretokenize.h"
#include "text/tokenizer/split_step.h"

namespace pare {

// Places where a space is put before text that does not begin with one.
enum class PrefixSpace {
  kNever,
  kFirst,  // at the start of the whole text only
  kAlways  // behind added tokens too
};

// Everything a BPE tokenizer is made of, whatever file it came from. The pre-tokenizer tells two kinds apart:
// byte-level vocabularies are written in the byte-to-unicode alphabet of GPT-2; those in the manner of
// SentencePiece (kSplitsOfChars, kWhole, kMetaspace) as text, with U+2581 for a space and tokens such as
// <0x0A> for bytes.
struct TokenizerSpec {
  std::vector<std::string> vocab;                           // by id; empty: no such id
  std::vector<std::pair<std::string, std::string>> merges;  // by rank; both and their join are in vocab
  bool rank_by_join = false;  // merges that give the same token rank alike (SentencePiece)
  std::vector<NormalizerStep> normalizer;
  PreTokenizer pre_tokenizer = PreTokenizer::kGpt2;
  std::vector<SplitStep> splits;  // for kSplits and kSplitsOfChars (no step of bytes); those of bytes last
  // kMetaspace*: any value; kGpt2, and kSplits before steps of bytes: not kFirst; others: kNever
  PrefixSpace prefix_space = PrefixSpace::kNever;
  std::vector<AddedToken> added;     // in vocab under the same id, or not at all
  bool ignore_merges = false;        // a word that is a token as it stands is not merged (LLaMA-3)
  bool byte_fallback = false;        // characters without a token become <0x0A>…; not byte-level
  bool strip_leading_space = false;  // decoding leaves out the first space; not byte-level
  std::optional<int32_t> unknown;    // id of text without a token; not set: such text is dropped
  bool fuse_unknown = false;         // a run of text without a token is one unknown
  std::vector<int32_t> prefix;       // ids put before / after every text when asked to (BOS / EOS templates)
  std::vector<int32_t> suffix;
};

struct EncodeOptions {
  bool add_special_tokens = false;  // apply the BOS/EOS template
  bool parse_special = true;        // read special tokens written in the text as such
  bool continues = false;           // the text goes on an earlier one: no space is put before it
};

// A text made of trusted and foreign parts.
struct TextPart {
  std::string_view text;
  bool parse_special = true;  // false: special tokens written here, even in part, are plain text
};

class Tokenizer {
 public:
  static constexpr int32_t kMaxVocab = 1 << 20;

  // Throws kFormat / kUnsupported when the parts contradict each other.
  explicit Tokenizer(TokenizerSpec spec);
  // Makes the tokenizer of tokenizer_spec_from_json.
  static Tokenizer from_json(std::string_view json);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // Any bytes below 2 GiB are accepted; invalid UTF-8 is encoded byte by byte. Time is linear in the text,
  // times a logarithm in single words. Without parse_special no id is special, unless a byte has no other
  // token. Safe to call from several threads.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  // Encodes the parts as one text: merges cross their borders. options.parse_special does not matter.
  std::vector<int32_t> encode_parts(std::span<const TextPart> parts, const EncodeOptions& options) const;
  // The bytes of the ids, which need not be valid UTF-8. Ids outside the vocabulary throw kInvalid.
  std::string decode(const std::vector<int32_t>& ids, bool skip_special = true) const;
  // The raw bytes of one token (added tokens: their text; an id that vocab leaves out: none).
  const std::string& token_bytes(int32_t id) const;
  bool is_special(int32_t id) const;
  // The id of a token by its text, as vocab and added write it.
  std::optional<int32_t> token_id(std::string_view text) const;
  // One more than the largest id.
  int32_t vocab_size() const;
  const TokenizerSpec& spec() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The parts of a tokenizer.json; throws kFormat, or kUnsupported naming the part pare does not have.
TokenizerSpec tokenizer_spec_from_json(std::string_view json);

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
  // Returns the rest at the end: an incomplete code point becomes U+FFFD.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::string pending_;
};

}  // namespace pare
