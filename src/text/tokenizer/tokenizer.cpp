#include "text/tokenizer/tokenizer.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/encoder.h"
#include "text/tokenizer/sentencepiece.h"
#include "text/tokenizer/space_sign.h"
#include "text/tokenizer/vocab_index.h"

namespace pare {
namespace {

// Returns the bytes that a token of the vocabulary stands for.
std::string raw_bytes(const TokenizerSpec& spec, const std::string& token) {
  if (is_byte_level(spec.pre_tokenizer)) return from_alphabet(token).value_or(token);
  const int byte = spec.byte_fallback ? byte_of_token(token) : -1;
  if (byte >= 0) return {static_cast<char>(byte)};
  std::string text;
  append_normalized({{NormalizerStep::Kind::kReplace, std::string(kSpaceSign), " "}}, token, true, text);
  return text;
}

// Throws when parts contradict each other; `size`: one more than the largest id.
void check(const TokenizerSpec& spec, size_t size) {
  const auto check_id = [&](int32_t id, const char* what) {
    if (id < 0 || static_cast<size_t>(id) >= size)
      fail(ErrorCode::kFormat, "tokenizer: {} id {} is not in the vocabulary of {}", what, id, size);
  };
  for (const int32_t id : spec.prefix) check_id(id, "prefix");
  for (const int32_t id : spec.suffix) check_id(id, "suffix");
  if (spec.unknown) check_id(*spec.unknown, "unknown token");
  for (const NormalizerStep& step : spec.normalizer)
    if (step.kind == NormalizerStep::Kind::kReplace && step.pattern.empty())
      fail(ErrorCode::kFormat, "tokenizer: the normalizer replaces an empty text");
  const bool takes_prefix =
      spec.pre_tokenizer == PreTokenizer::kGpt2 || spec.pre_tokenizer == PreTokenizer::kSplits;
  if (spec.prefix_space != PrefixSpace::kNever && !is_metaspace(spec.pre_tokenizer) &&
      (!takes_prefix || spec.prefix_space == PrefixSpace::kFirst))
    fail(ErrorCode::kUnsupported, "tokenizer: add_prefix_space with a pre-tokenizer other than GPT-2's");
  if (is_byte_level(spec.pre_tokenizer) && (spec.byte_fallback || spec.strip_leading_space))
    fail(ErrorCode::kUnsupported, "tokenizer: byte_fallback or a stripping decoder in byte-level BPE");
}

// Returns whether each token is special, by its id; checks the spec.
std::vector<bool> special_ids(const TokenizerSpec& spec) {
  size_t size = spec.vocab.size();
  for (const AddedToken& token : spec.added) size = std::max(size, static_cast<size_t>(token.id) + 1);
  check(spec, size);
  std::vector<bool> special(size);
  for (const AddedToken& token : spec.added) special[token.id] = token.special;
  return special;
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerSpec s)
      : spec(std::move(s)), ids(index_tokens(spec)), special(special_ids(spec)), encoder(spec, ids, special) {
    bytes.resize(special.size());
    for (size_t i = 0; i < spec.vocab.size(); ++i) bytes[i] = raw_bytes(spec, spec.vocab[i]);
    // Added tokens are matched in the text itself.
    for (const AddedToken& token : spec.added) bytes[token.id] = token.text;
  }

  TokenizerSpec spec;
  IdMap ids;                  // views of spec's strings
  std::vector<bool> special;  // by id
  Encoder encoder;
  std::vector<std::string> bytes;
};

Tokenizer::Tokenizer(TokenizerSpec spec) : impl_(std::make_unique<Impl>(std::move(spec))) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const TextPart part = {text, options.parse_special};
  return encode_parts({&part, 1}, options);
}

std::vector<int32_t> Tokenizer::encode_parts(std::span<const TextPart> parts,
                                             const EncodeOptions& options) const {
  size_t size = 0;
  for (const TextPart& part : parts) size += part.text.size();
  if (size > static_cast<size_t>(std::numeric_limits<int32_t>::max()) - 1)
    fail(ErrorCode::kInvalid, "text of {} bytes: a tokenizer takes less than 2 GiB at once", size);
  std::vector<int32_t> out;
  if (options.add_special_tokens) out = impl_->spec.prefix;
  impl_->encoder.encode(parts, options.continues, out);
  if (options.add_special_tokens) out.insert(out.end(), impl_->spec.suffix.begin(), impl_->spec.suffix.end());
  return out;
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids, bool skip_special) const {
  std::string text;
  for (const int32_t id : ids) {
    const std::string& bytes = token_bytes(id);
    if (!skip_special || !impl_->special[id]) text += bytes;
  }
  if (impl_->spec.strip_leading_space && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

const std::string& Tokenizer::token_bytes(int32_t id) const {
  if (id < 0 || id >= vocab_size())
    fail(ErrorCode::kInvalid, "token id {} is outside the vocabulary of {}", id, vocab_size());
  return impl_->bytes[id];
}

bool Tokenizer::is_special(int32_t id) const { return id >= 0 && id < vocab_size() && impl_->special[id]; }

std::optional<int32_t> Tokenizer::token_id(std::string_view text) const {
  const auto it = impl_->ids.find(text);
  if (it == impl_->ids.end()) return std::nullopt;
  return it->second;
}

int32_t Tokenizer::vocab_size() const { return static_cast<int32_t>(impl_->bytes.size()); }

const TokenizerSpec& Tokenizer::spec() const { return impl_->spec; }

}  // namespace pare
