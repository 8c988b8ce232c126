#include "text/tokenizer/encoder.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/space_sign.h"

namespace pare {
namespace {

SpaceCuts space_cuts(const TokenizerSpec& spec, const IdMap& ids) {
  if (is_byte_level(spec.pre_tokenizer)) return {};
  if (spec.pre_tokenizer == PreTokenizer::kMetaspaceSplit) return SpaceCuts::everywhere();
  return {spec, ids};
}

std::array<int32_t, 256> no_bytes() {
  std::array<int32_t, 256> ids{};
  ids.fill(-1);
  return ids;
}

// The parts of [begin, end) that lie in sorted ranges, counted from `begin`.
std::vector<TextRange> ranges_within(std::span<const TextRange> ranges, size_t begin, size_t end) {
  std::vector<TextRange> within;
  for (const TextRange& range : ranges) {
    if (range.begin >= end) break;
    const size_t from = std::max(begin, range.begin);
    const size_t to = std::min(end, range.end);
    if (from < to) within.push_back({from - begin, to - begin});
  }
  return within;
}

}  // namespace

Encoder::Encoder(const TokenizerSpec& spec, const IdMap& ids, const std::vector<bool>& special)
    : spec_(spec),
      special_(special),
      matcher_(spec.added, spec.normalizer),
      bpe_(make_merge_table(spec, ids)),
      cuts_(space_cuts(spec, ids)) {
  const UnknownSymbol unknown = {spec.unknown, spec.fuse_unknown};
  const bool byte_level = is_byte_level(spec.pre_tokenizer);
  if (spec.pre_tokenizer == PreTokenizer::kSplits || spec.pre_tokenizer == PreTokenizer::kSplitsOfChars)
    splitter_.emplace(spec.splits);
  if (byte_level)
    byte_symbols_.emplace(alphabet_ids(ids), unknown);
  else
    char_symbols_.emplace(char_ids(spec), spec.byte_fallback ? byte_token_ids(ids) : no_bytes(), unknown);
  if (!spec.ignore_merges) return;
  for (size_t i = 0; i < spec.vocab.size(); ++i) {
    const auto text = byte_level ? from_alphabet(spec.vocab[i]) : spec.vocab[i];
    if (text && !text->empty()) words_.emplace(*text, static_cast<int32_t>(i));
  }
}

void Encoder::encode(std::span<const TextPart> parts, bool continues, std::vector<int32_t>& out) const {
  std::string joined;
  std::vector<TextRange> plain;
  size_t size = 0;
  for (const TextPart& part : parts) {
    if (!part.parse_special && !part.text.empty()) plain.push_back({size, size + part.text.size()});
    size += part.text.size();
    if (parts.size() > 1) joined += part.text;
  }
  const std::string_view text = parts.size() == 1 ? parts.front().text : joined;

  // The shared cache serves one call at a time; a call that would wait uses its own.
  WordCache own_cache;
  const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
  WordCache& cache = lock ? caches_[plain.empty() ? 1 : 0] : own_cache;
  Call call = {plain.empty() ? nullptr : &special_, continues, cache, out, {}};
  std::span<const TextRange> rest = plain;
  for (const TextPiece& piece : matcher_.split(text, plain)) {
    const auto begin = static_cast<size_t>(piece.text.data() - text.data());
    const size_t end = begin + piece.text.size();
    while (!rest.empty() && rest.front().end <= begin) rest = rest.subspan(1);
    if (piece.id >= 0)
      out.push_back(piece.id);
    else
      encode_piece(piece.text, ranges_within(rest, begin, end), begin == 0, call);
  }
}

void Encoder::encode_piece(std::string_view text, std::span<const TextRange> plain, bool is_first,
                           Call& call) const {
  std::string normal;
  std::vector<TextRange> normal_plain;
  if (!spec_.normalizer.empty()) {
    // A plain range is normalized on its own, so that its borders are known afterwards.
    size_t pos = 0;
    const auto append_until = [&](size_t end) {
      const bool is_start = pos == 0 && !(is_first && call.continues);
      append_normalized(spec_.normalizer, text.substr(pos, end - pos), is_start, normal);
      pos = end;
    };
    for (const TextRange& range : plain) {
      append_until(range.begin);
      const size_t begin = normal.size();
      append_until(range.end);
      normal_plain.push_back({begin, normal.size()});
    }
    append_until(text.size());
    text = normal;
    plain = normal_plain;
  }
  for (const TextPiece& piece : matcher_.split_normalized(text, plain)) {
    if (piece.id >= 0)
      call.out.push_back(piece.id);
    else
      encode_plain(piece.text, is_first && piece.text.data() == text.data(), call);
  }
}

void Encoder::encode_plain(std::string_view text, bool is_first, Call& call) const {
  static const std::vector<NormalizerStep> kSpacesToSigns = {
      {NormalizerStep::Kind::kReplace, " ", std::string(kSpaceSign)}};
  const bool metaspace = is_metaspace(spec_.pre_tokenizer);
  bool wants_space =
      spec_.prefix_space == PrefixSpace::kAlways || (spec_.prefix_space == PrefixSpace::kFirst && is_first);
  if (text.front() == ' ' || (metaspace && text.starts_with(kSpaceSign)) || (is_first && call.continues))
    wants_space = false;
  std::string changed;
  if (wants_space) changed = metaspace ? kSpaceSign : " ";
  if (metaspace)
    append_normalized(kSpacesToSigns, text, true, changed);
  else if (wants_space)
    changed += text;
  if (metaspace || wants_space) text = changed;
  if (byte_symbols_)
    encode_bytes(text, call);
  else
    encode_chars(text, call);
}

void Encoder::encode_bytes(std::string_view text, Call& call) const {
  const auto encode_word = [&](std::string_view word) {
    encode_cached(word, call, [&] {
      if (!encode_whole(word, call)) merge_word(word, call);
    });
  };
  if (!splitter_) return for_each_word(spec_.pre_tokenizer, text, encode_word);
  for (const std::string_view word : splitter_->split(text)) encode_word(word);
}

void Encoder::encode_chars(std::string_view text, Call& call) const {
  if (!splitter_) return encode_char_word(text, call);
  for (const std::string_view word : splitter_->split(text)) encode_char_word(word, call);
}

void Encoder::encode_char_word(std::string_view text, Call& call) const {
  // Unless it is split, the word is all of the text, and the cuts are only a faster way to the same ids.
  const bool is_split = spec_.pre_tokenizer == PreTokenizer::kMetaspaceSplit;
  if (!is_split && encode_whole(text, call)) return;
  for (size_t pos = 0; pos < text.size();) {
    const std::string_view word = text.substr(pos, cuts_.word_end(text, pos) - pos);
    encode_cached(word, call, [&] {
      if (!is_split || !encode_whole(word, call)) merge_word(word, call);
    });
    pos += word.size();
  }
}

template <typename EncodeWord>
void Encoder::encode_cached(std::string_view word, Call& call, EncodeWord encode_new) const {
  if (word.size() > WordCache::kMaxBytes) return encode_new();
  bool found = false;
  WordCache::Slot& slot = call.cache.find(word, found);
  if (found) {
    const auto known = slot.view();
    call.out.insert(call.out.end(), known.begin(), known.end());
    return;
  }
  const size_t before = call.out.size();
  encode_new();
  WordCache::fill(slot, word.size(), std::span<const int32_t>(call.out).subspan(before));
}

bool Encoder::encode_whole(std::string_view word, Call& call) const {
  if (!spec_.ignore_merges) return false;
  const auto it = words_.find(word);
  if (it == words_.end() || (call.banned != nullptr && (*call.banned)[it->second])) return false;
  call.out.push_back(it->second);
  return true;
}

void Encoder::merge_word(std::string_view word, Call& call) const {
  call.scratch.symbols.clear();
  if (byte_symbols_)
    byte_symbols_->read(word, call.scratch.symbols);
  else
    char_symbols_->read(word, call.banned, call.scratch.symbols);
  if (call.scratch.symbols.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    fail(ErrorCode::kInvalid, "text of {} bytes without a place to cut it", word.size());
  bpe_.encode(call.banned, call.scratch, call.out);
}

}  // namespace pare
