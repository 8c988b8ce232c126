#include "text/tokenizer.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <mutex>
#include <span>
#include <unordered_map>

#include "base/error.h"
#include "text/bpe.h"
#include "text/byte_alphabet.h"
#include "text/word_cache.h"

namespace pare {
namespace {

using IdMap = std::unordered_map<std::string_view, int32_t>;

// Lets a map keyed by strings be searched with a view.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

IdMap index_vocab(const std::vector<std::string>& vocab) {
  if (vocab.size() > Tokenizer::kMaxVocab)
    fail(ErrorCode::kUnsupported, "tokenizer: {} tokens, at most {} are supported", vocab.size(),
         Tokenizer::kMaxVocab);
  IdMap ids;
  ids.reserve(vocab.size());
  for (size_t i = 0; i < vocab.size(); ++i) {
    if (vocab[i].empty()) continue;
    const auto [it, is_new] = ids.try_emplace(vocab[i], static_cast<int32_t>(i));
    if (!is_new)
      fail(ErrorCode::kFormat, "tokenizer: token \"{}\" has two ids, {} and {}", vocab[i], it->second, i);
  }
  return ids;
}

void index_added(const TokenizerSpec& spec, IdMap& ids) {
  std::unordered_map<int32_t, std::string_view> texts;
  for (const AddedToken& token : spec.added) {
    if (token.text.empty()) fail(ErrorCode::kFormat, "tokenizer: added token {} is empty", token.id);
    if (token.id < 0 || token.id >= Tokenizer::kMaxVocab)
      fail(ErrorCode::kFormat, "tokenizer: added token \"{}\" has id {}, expected 0 to {}", token.text,
           token.id, Tokenizer::kMaxVocab - 1);
    const auto by_text = ids.try_emplace(token.text, token.id).first;
    if (by_text->second != token.id)
      fail(ErrorCode::kFormat, "tokenizer: added token \"{}\" has two ids, {} and {}", token.text,
           by_text->second, token.id);
    const auto [by_id, is_new] = texts.try_emplace(token.id, token.text);
    std::string_view text = by_id->second;
    const auto index = static_cast<size_t>(token.id);
    if (index < spec.vocab.size() && !spec.vocab[index].empty()) text = spec.vocab[index];
    if (!is_new || text != token.text)
      fail(ErrorCode::kFormat, "tokenizer: id {} is both \"{}\" and the added token \"{}\"", token.id, text,
           token.text);
  }
}

Bpe make_bpe(const TokenizerSpec& spec, const IdMap& ids) {
  const auto find = [&](const std::string& text, size_t rank) {
    const auto it = ids.find(text);
    if (it == ids.end())
      fail(ErrorCode::kFormat, "tokenizer: merge {} needs \"{}\", which is not in the vocabulary", rank,
           text);
    return it->second;
  };
  MergeTable table(spec.merges.size());
  for (size_t rank = 0; rank < spec.merges.size(); ++rank) {
    const auto& [left, right] = spec.merges[rank];
    const int32_t joined = find(left + right, rank);
    table.insert(find(left, rank), find(right, rank), {static_cast<uint32_t>(rank), joined});
  }
  std::array<int32_t, 256> byte_ids{};
  for (int byte = 0; byte < 256; ++byte) {
    const auto it = ids.find(to_alphabet(std::string(1, static_cast<char>(byte))));
    byte_ids[byte] = it != ids.end() ? it->second : -1;
  }
  return Bpe(byte_ids, std::move(table), spec.unknown, spec.fuse_unknown);
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerSpec s)
      : spec(std::move(s)), ids(index_vocab(spec.vocab)), matcher(spec.added), bpe(make_bpe(spec, ids)) {
    index_added(spec, ids);
    size_t size = spec.vocab.size();
    for (const AddedToken& token : spec.added) size = std::max(size, static_cast<size_t>(token.id) + 1);
    bytes.resize(size);
    special.resize(size);
    for (size_t i = 0; i < spec.vocab.size(); ++i) {
      auto raw = from_alphabet(spec.vocab[i]);
      if (spec.ignore_merges && raw && !raw->empty()) words.emplace(*raw, static_cast<int32_t>(i));
      bytes[i] = raw ? *std::move(raw) : spec.vocab[i];
    }
    for (const AddedToken& token : spec.added) {
      bytes[token.id] = token.text;  // they are matched in the text itself, not in the alphabet
      special[token.id] = token.special;
    }
    check_ids();
  }

  void check_ids() const {
    const auto check = [&](int32_t id, const char* what) {
      if (id < 0 || static_cast<size_t>(id) >= bytes.size())
        fail(ErrorCode::kFormat, "tokenizer: {} id {} is not in the vocabulary of {}", what, id,
             bytes.size());
    };
    for (const int32_t id : spec.prefix) check(id, "prefix");
    for (const int32_t id : spec.suffix) check(id, "suffix");
    if (spec.unknown) check(*spec.unknown, "unknown token");
    if (spec.add_prefix_space && spec.pre_tokenizer != PreTokenizer::kGpt2)
      fail(ErrorCode::kUnsupported, "tokenizer: add_prefix_space with a pre-tokenizer other than GPT-2's");
  }

  void encode_word(std::string_view word, const std::vector<bool>* banned, Bpe::Scratch& scratch,
                   std::vector<int32_t>& out) const {
    if (spec.ignore_merges) {
      const auto it = words.find(word);
      if (it != words.end() && (banned == nullptr || !(*banned)[it->second]))
        return out.push_back(it->second);
    }
    bpe.encode(word, banned, scratch, out);
  }

  void encode_plain(std::string_view text, const std::vector<bool>* banned, WordCache& words_seen,
                    Bpe::Scratch& scratch, std::vector<int32_t>& out) const {
    for_each_word(spec.pre_tokenizer, text, [&](std::string_view word) {
      if (word.size() > WordCache::kMaxBytes) return encode_word(word, banned, scratch, out);
      bool found = false;
      WordCache::Slot& slot = words_seen.find(word, found);
      if (found) {
        const auto known = slot.view();
        out.insert(out.end(), known.begin(), known.end());
        return;
      }
      const size_t before = out.size();
      encode_word(word, banned, scratch, out);
      WordCache::fill(slot, word.size(), std::span<const int32_t>(out).subspan(before));
    });
  }

  TokenizerSpec spec;
  IdMap ids;  // views of spec's strings
  AddedTokenMatcher matcher;
  Bpe bpe;
  std::vector<std::string> bytes;
  std::vector<bool> special;
  std::unordered_map<std::string, int32_t, TextHash, std::equal_to<>>
      words;  // by raw bytes, for ignore_merges

  std::mutex mutex;     // guards the caches
  WordCache caches[2];  // with special tokens banned, and not
};

Tokenizer::Tokenizer(TokenizerSpec spec) : impl_(std::make_unique<Impl>(std::move(spec))) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()) - 1)
    fail(ErrorCode::kInvalid, "text of {} bytes: a tokenizer takes less than 2 GiB at once", text.size());
  const std::vector<bool>* banned = options.parse_special ? nullptr : &impl_->special;
  std::vector<int32_t> out;
  if (options.add_special_tokens) out = impl_->spec.prefix;

  // The shared cache serves one call at a time; a call that would wait uses its own.
  WordCache own_cache;
  const std::unique_lock<std::mutex> lock(impl_->mutex, std::try_to_lock);
  WordCache& cache = lock ? impl_->caches[options.parse_special ? 1 : 0] : own_cache;

  Bpe::Scratch scratch;
  for (const TextPiece& piece : impl_->matcher.split(text, options.parse_special)) {
    if (piece.id >= 0)
      out.push_back(piece.id);
    else if (impl_->spec.add_prefix_space && piece.text.front() != ' ')
      impl_->encode_plain(std::string(" ").append(piece.text), banned, cache, scratch, out);
    else
      impl_->encode_plain(piece.text, banned, cache, scratch, out);
  }
  if (options.add_special_tokens) out.insert(out.end(), impl_->spec.suffix.begin(), impl_->spec.suffix.end());
  return out;
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids, bool skip_special) const {
  std::string text;
  for (const int32_t id : ids) {
    const std::string& bytes = token_bytes(id);
    if (!skip_special || !impl_->special[id]) text += bytes;
  }
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
