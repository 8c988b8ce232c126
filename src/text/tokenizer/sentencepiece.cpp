#include "text/tokenizer/sentencepiece.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/error.h"
#include "text/tokenizer/space_sign.h"

namespace pare {
namespace {

constexpr size_t kMaxPieceBytes = 1024;  // a piece is tried at every place of a cut

struct ScoredMerge {
  int32_t left;
  int32_t right;
  int32_t joined;
  float score;
};

bool starts_char(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

// Every pair of normal pieces that makes a third, best score first, then by ids, as Hugging Face's converter
// orders them.
std::vector<ScoredMerge> scored_merges(const std::vector<SentencePiece>& pieces) {
  std::unordered_map<std::string_view, int32_t> ids;
  for (size_t i = 0; i < pieces.size(); ++i)
    if (pieces[i].type == PieceType::kNormal) ids.emplace(pieces[i].text, static_cast<int32_t>(i));
  std::vector<ScoredMerge> merges;
  for (const auto& [text, id] : ids) {
    if (text.size() > kMaxPieceBytes)
      fail(ErrorCode::kUnsupported, "tokenizer: piece {} has {} bytes, at most {} are supported", id,
           text.size(), kMaxPieceBytes);
    if (std::isnan(pieces[id].score)) fail(ErrorCode::kFormat, "tokenizer: the score of piece {} is NaN", id);
    for (size_t cut = 1; cut < text.size(); ++cut) {
      if (!starts_char(text[cut])) continue;
      const auto left = ids.find(text.substr(0, cut));
      if (left == ids.end()) continue;
      const auto right = ids.find(text.substr(cut));
      if (right != ids.end()) merges.push_back({left->second, right->second, id, pieces[id].score});
    }
  }
  std::sort(merges.begin(), merges.end(), [&](const ScoredMerge& a, const ScoredMerge& b) {
    if (a.score != b.score) return a.score > b.score;
    if (a.joined != b.joined) return a.joined < b.joined;
    return pieces[a.left].text.size() > pieces[b.left].text.size();
  });
  return merges;
}

}  // namespace

int byte_of_token(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  const int high = digit(text[3]);
  const int low = digit(text[4]);
  return high < 0 || low < 0 ? -1 : 16 * high + low;
}

TokenizerSpec sentencepiece_spec(const SentencePieceVocab& vocab) {
  TokenizerSpec spec;
  bool has_bytes = false;
  for (size_t i = 0; i < vocab.pieces.size(); ++i) {
    const SentencePiece& piece = vocab.pieces[i];
    const auto id = static_cast<int32_t>(i);
    spec.vocab.push_back(piece.type == PieceType::kUnused ? "" : piece.text);
    if (piece.type == PieceType::kUnknown && !spec.unknown) spec.unknown = id;
    has_bytes = has_bytes || piece.type == PieceType::kByte;
    const bool special = piece.type == PieceType::kControl || piece.type == PieceType::kUnknown;
    if (special || piece.type == PieceType::kUserDefined)
      spec.added.push_back({.text = piece.text, .id = id, .special = special});
  }
  for (const ScoredMerge& merge : scored_merges(vocab.pieces))
    spec.merges.emplace_back(vocab.pieces[merge.left].text, vocab.pieces[merge.right].text);
  spec.rank_by_join = true;
  spec.pre_tokenizer = PreTokenizer::kWhole;
  spec.byte_fallback = has_bytes;
  spec.fuse_unknown = true;
  spec.strip_leading_space = vocab.add_dummy_prefix;
  if (vocab.add_dummy_prefix)
    spec.normalizer.push_back({NormalizerStep::Kind::kPrepend, "", std::string(kSpaceSign)});
  spec.normalizer.push_back({NormalizerStep::Kind::kReplace, " ", std::string(kSpaceSign)});
  return spec;
}

}  // namespace pare
