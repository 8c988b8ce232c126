#include "text/tokenizer/added_tokens.h"

#include <algorithm>

#include "text/unicode/unicode.h"

namespace pare {
namespace {

// The last character of a non-empty text.
ClassedChar last_char(std::string_view text) {
  size_t pos = text.size() - 1;
  const size_t lowest = text.size() - std::min<size_t>(4, text.size());
  while (pos > lowest && (static_cast<unsigned char>(text[pos]) & 0xc0) == 0x80) --pos;
  const ClassedChar c = char_at(text, pos);
  return pos + c.length == text.size() ? c : ClassedChar{0, 1, 0};
}

bool ends_with_word(std::string_view text) {
  return !text.empty() && (last_char(text).classes & kWordChar) != 0;
}

bool starts_with_word(std::string_view text) {
  return !text.empty() && (char_at(text, 0).classes & kWordChar) != 0;
}

size_t trailing_space_start(std::string_view text) {
  while (!text.empty()) {
    const ClassedChar c = last_char(text);
    if ((c.classes & kSpace) == 0) break;
    text.remove_suffix(c.length);
  }
  return text.size();
}

size_t leading_space(std::string_view text) {
  size_t pos = 0;
  while (pos < text.size()) {
    const ClassedChar c = char_at(text, pos);
    if ((c.classes & kSpace) == 0) break;
    pos += c.length;
  }
  return pos;
}

}  // namespace

void AddedTokenMatcher::Trie::insert(const std::string& text, size_t token) {
  starts_[static_cast<unsigned char>(text[0])] = true;
  uint64_t node = 0;
  for (const char c : text) {
    const uint64_t edge = node * 256 + static_cast<unsigned char>(c);
    const auto [it, is_new] = edges_.try_emplace(edge, static_cast<uint32_t>(token_of_node_.size()));
    if (is_new) token_of_node_.push_back(kNone);
    node = it->second;
  }
  token_of_node_[node] = token;
}

bool AddedTokenMatcher::Trie::find(std::string_view text, size_t pos, size_t& start, size_t& end,
                                   size_t& token) const {
  for (start = pos; start < text.size(); ++start) {
    if (!starts_[static_cast<unsigned char>(text[start])]) continue;
    token = kNone;
    uint64_t node = 0;
    for (size_t i = start; i < text.size(); ++i) {
      const auto it = edges_.find(node * 256 + static_cast<unsigned char>(text[i]));
      if (it == edges_.end()) break;
      node = it->second;
      if (token_of_node_[node] == kNone) continue;
      token = token_of_node_[node];
      end = i + 1;
    }
    if (token != kNone) return true;
  }
  return false;
}

AddedTokenMatcher::AddedTokenMatcher(const std::vector<AddedToken>& tokens,
                                     const std::vector<NormalizerStep>& normalizer)
    : tokens_(tokens) {
  std::string text;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    text.clear();
    if (tokens_[i].normalized)
      append_normalized(normalizer, tokens_[i].text, true, text);
    else
      text = tokens_[i].text;
    if (!text.empty()) (tokens_[i].normalized ? normalized_ : exact_).insert(text, i);
  }
}

std::vector<TextPiece> AddedTokenMatcher::split_at(const Trie& trie, std::string_view text,
                                                   std::span<const TextRange> plain) const {
  std::vector<TextPiece> pieces;
  size_t done = 0;  // end of the last piece; rstrip may carry it past the next match
  size_t start = 0;
  size_t end = 0;
  size_t index = 0;
  for (size_t pos = 0; !trie.empty() && trie.find(text, pos, start, end, index); pos = end) {
    const AddedToken& token = tokens_[index];
    while (!plain.empty() && plain.front().end <= start) plain = plain.subspan(1);
    if (token.special && !plain.empty() && plain.front().begin < end) continue;
    if (token.single_word && (ends_with_word(text.substr(0, start)) || starts_with_word(text.substr(end))))
      continue;
    size_t from = start;
    size_t to = end;
    if (token.lstrip) from = std::max(done, trailing_space_start(text.substr(0, start)));
    if (token.rstrip) to += leading_space(text.substr(end));
    if (done < from) pieces.push_back({text.substr(done, from - done), -1});
    pieces.push_back({text.substr(from, to - from), token.id});
    done = to;
  }
  if (done < text.size()) pieces.push_back({text.substr(done), -1});
  return pieces;
}

}  // namespace pare
