// Tokenizers of SentencePiece: a piece, a score and a type for each id.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/tokenizer.h"

namespace pare {

// Types of pieces, numbered as in a tokenizer.model and in a GGUF file.
enum class PieceType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

struct SentencePiece {
  std::string text;
  float score = 0.0f;
  PieceType type = PieceType::kNormal;
};

struct SentencePieceVocab {
  std::vector<SentencePiece> pieces;  // by id
  bool add_dummy_prefix = true;       // a space before every text between special tokens
};

// The byte that a piece <0x0A> stands for, -1 for other texts.
int byte_of_token(std::string_view text);

// The BPE tokenizer that these pieces make; no BOS or EOS template. Pieces merge by score, the better ones
// first, the leftmost among equals. Throws kFormat when a score is NaN and kUnsupported when a piece is
// longer than 1 KiB.
TokenizerSpec sentencepiece_spec(const SentencePieceVocab& vocab);

// Reads the bytes of a tokenizer.model (a protobuf ModelProto). bos and eos are its ids, -1 if it has none.
// Throws kFormat when it is malformed, and kUnsupported for what pare does not do: Unigram models, other
// normalization than none.
struct SentencePieceModel {
  SentencePieceVocab vocab;
  int32_t bos = -1;
  int32_t eos = -1;
};
SentencePieceModel parse_sentencepiece_model(std::string_view bytes);

}  // namespace pare
