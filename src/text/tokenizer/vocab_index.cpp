#include "text/tokenizer/vocab_index.h"

#include "base/error.h"
#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/sentencepiece.h"
#include "text/tokenizer/space_sign.h"
#include "text/unicode/utf8.h"

namespace pare {
namespace {

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

// The last character of a non-empty text.
char32_t last_code(std::string_view text) {
  size_t pos = text.size() - 1;
  while (pos > 0 && text.size() - pos < 4 && (static_cast<unsigned char>(text[pos]) & 0xc0) == 0x80) --pos;
  return decode_utf8(text.substr(pos)).code;
}

}  // namespace

IdMap index_tokens(const TokenizerSpec& spec) {
  IdMap ids = index_vocab(spec.vocab);
  index_added(spec, ids);
  return ids;
}

MergeTable make_merge_table(const TokenizerSpec& spec, const IdMap& ids) {
  const auto find = [&](const std::string& text, size_t rank) {
    const auto it = ids.find(text);
    if (it == ids.end())
      fail(ErrorCode::kFormat, "tokenizer: merge {} needs \"{}\", which is not in the vocabulary", rank,
           text);
    return it->second;
  };
  MergeTable table(spec.merges.size());
  std::unordered_map<int32_t, uint32_t> rank_of_join;
  for (size_t i = 0; i < spec.merges.size(); ++i) {
    const auto& [left, right] = spec.merges[i];
    const int32_t joined = find(left + right, i);
    auto rank = static_cast<uint32_t>(i);
    if (spec.rank_by_join) rank = rank_of_join.try_emplace(joined, rank).first->second;
    table.insert(find(left, i), find(right, i), {rank, joined});
  }
  return table;
}

std::array<int32_t, 256> alphabet_ids(const IdMap& ids) {
  std::array<int32_t, 256> table{};
  for (int byte = 0; byte < 256; ++byte) {
    const auto it = ids.find(to_alphabet(std::string(1, static_cast<char>(byte))));
    table[byte] = it != ids.end() ? it->second : -1;
  }
  return table;
}

std::array<int32_t, 256> byte_token_ids(const IdMap& ids) {
  std::array<int32_t, 256> table{};
  for (int byte = 0; byte < 256; ++byte) {
    const auto it = ids.find(fmt::format("<0x{:02X}>", byte));
    table[byte] = it != ids.end() ? it->second : -1;
  }
  return table;
}

std::unordered_map<char32_t, int32_t> char_ids(const TokenizerSpec& spec) {
  std::unordered_map<char32_t, int32_t> ids;
  for (size_t i = 0; i < spec.vocab.size(); ++i) {
    if (spec.vocab[i].empty()) continue;
    const Utf8Char c = decode_utf8(spec.vocab[i]);
    if (c.valid && c.length == spec.vocab[i].size()) ids.emplace(c.code, static_cast<int32_t>(i));
  }
  return ids;
}

SpaceCuts SpaceCuts::everywhere() {
  SpaceCuts cuts;
  cuts.enabled_ = true;
  return cuts;
}

SpaceCuts::SpaceCuts(const TokenizerSpec& spec, const IdMap& ids) {
  // Without a token, the sign is an unknown that may melt into another across the cut.
  if (!ids.contains(kSpaceSign)) return;
  std::string joined;
  for (const auto& [left, right] : spec.merges) {
    // The text of an unknown or of a byte token has other characters than the token's name.
    for (const std::string& part : {left, right})
      if (byte_of_token(part) >= 0 || (spec.unknown && ids.at(part) == *spec.unknown)) return;
    joined = left + right;
    for (size_t pos = joined.find(kSpaceSign, 1); pos != std::string::npos;
         pos = joined.find(kSpaceSign, pos + 1)) {
      const char32_t before = last_code(std::string_view(joined).substr(0, pos));
      if (before == kSpaceSignCode)
        joins_itself_ = true;
      else
        joining_.insert(before);
    }
  }
  enabled_ = true;
}

size_t SpaceCuts::word_end(std::string_view text, size_t pos) const {
  if (!enabled_) return text.size();
  size_t end = pos + (text.substr(pos).starts_with(kSpaceSign) ? kSpaceSign.size() : 1);
  while (true) {
    end = text.find(kSpaceSign, end);
    if (end == std::string_view::npos) return text.size();
    const bool after_sign = text.substr(0, end).ends_with(kSpaceSign);
    if (after_sign ? !joins_itself_ : joining_.empty() || !joining_.contains(last_code(text.substr(0, end))))
      return end;
    end += kSpaceSign.size();
  }
}

}  // namespace pare
