// Reading tokenizer.model: the fields of sentencepiece_model.proto that matter.
#include <bit>

#include "base/error.h"
#include "text/tokenizer/sentencepiece.h"
#include "text/tokenizer/wire_reader.h"
#include "text/unicode/utf8.h"

namespace pare {
namespace {

using Type = WireField::Type;

constexpr const char* kWhat = "tokenizer.model";

void expect(const WireField& field, Type type, const char* name) {
  if (field.type != type)
    fail(ErrorCode::kFormat, "{}: {} has wire type {}, expected {}", kWhat, name,
         static_cast<int>(field.type), static_cast<int>(type));
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (!c.valid) return false;
    text.remove_prefix(c.length);
  }
  return true;
}

SentencePiece read_piece(std::string_view message, size_t id) {
  SentencePiece piece;
  WireReader reader(message);
  while (const auto field = reader.next()) {
    switch (field->number) {
      case 1:
        expect(*field, Type::kBytes, "a piece's text");
        piece.text = field->bytes;
        break;
      case 2:
        expect(*field, Type::kFixed32, "a piece's score");
        piece.score = std::bit_cast<float>(static_cast<uint32_t>(field->value));
        break;
      case 3:
        expect(*field, Type::kVarint, "a piece's type");
        if (field->value < 1 || field->value > 6)
          fail(ErrorCode::kFormat, "{}: piece {} has type {}, expected 1 to 6", kWhat, id, field->value);
        piece.type = static_cast<PieceType>(field->value);
        break;
      default:
        break;
    }
  }
  if (piece.text.empty()) fail(ErrorCode::kFormat, "{}: piece {} is empty", kWhat, id);
  if (!is_utf8(piece.text)) fail(ErrorCode::kFormat, "{}: piece {} is not UTF-8", kWhat, id);
  return piece;
}

// TrainerSpec: the kind of model and the ids of the template.
void read_trainer(std::string_view message, SentencePieceModel& model, uint64_t& model_type) {
  WireReader reader(message);
  while (const auto field = reader.next()) {
    switch (field->number) {
      case 3:
        expect(*field, Type::kVarint, "model_type");
        model_type = field->value;
        break;
      case 24:
        expect(*field, Type::kVarint, "treat_whitespace_as_suffix");
        if (field->value != 0) fail(ErrorCode::kUnsupported, "{}: treat_whitespace_as_suffix", kWhat);
        break;
      case 41:
      case 42:
        expect(*field, Type::kVarint, "bos_id or eos_id");
        (field->number == 41 ? model.bos : model.eos) = static_cast<int32_t>(field->value);
        break;
      default:
        break;
    }
  }
}

void read_normalizer(std::string_view message, SentencePieceModel& model) {
  bool remove_spaces = true;
  WireReader reader(message);
  while (const auto field = reader.next()) {
    switch (field->number) {
      case 2:
        expect(*field, Type::kBytes, "precompiled_charsmap");
        if (!field->bytes.empty())
          fail(ErrorCode::kUnsupported, "{}: text is normalized by rules (precompiled_charsmap)", kWhat);
        break;
      case 3:
        expect(*field, Type::kVarint, "add_dummy_prefix");
        model.vocab.add_dummy_prefix = field->value != 0;
        break;
      case 4:
        expect(*field, Type::kVarint, "remove_extra_whitespaces");
        remove_spaces = field->value != 0;
        break;
      case 5:
        expect(*field, Type::kVarint, "escape_whitespaces");
        if (field->value == 0) fail(ErrorCode::kUnsupported, "{}: escape_whitespaces is off", kWhat);
        break;
      default:
        break;
    }
  }
  if (remove_spaces) fail(ErrorCode::kUnsupported, "{}: remove_extra_whitespaces is on", kWhat);
}

}  // namespace

SentencePieceModel parse_sentencepiece_model(std::string_view bytes) {
  constexpr uint64_t kUnigram = 1;
  constexpr uint64_t kBpe = 2;
  SentencePieceModel model;
  model.bos = 1;  // the format's default when the fields are absent
  model.eos = 2;
  uint64_t model_type = kUnigram;
  std::string_view normalizer;
  WireReader reader(bytes);
  while (const auto field = reader.next()) {
    switch (field->number) {
      case 1:
        expect(*field, Type::kBytes, "a piece");
        if (model.vocab.pieces.size() == Tokenizer::kMaxVocab)
          fail(ErrorCode::kUnsupported, "{}: more than {} pieces", kWhat, Tokenizer::kMaxVocab);
        model.vocab.pieces.push_back(read_piece(field->bytes, model.vocab.pieces.size()));
        break;
      case 2:
        expect(*field, Type::kBytes, "trainer_spec");
        read_trainer(field->bytes, model, model_type);
        break;
      case 3:
        expect(*field, Type::kBytes, "normalizer_spec");
        normalizer = field->bytes;
        break;
      default:
        break;
    }
  }
  if (model.vocab.pieces.empty()) fail(ErrorCode::kFormat, "{}: no pieces", kWhat);
  if (model_type != kBpe)
    fail(ErrorCode::kUnsupported, "{}: {} models are not supported, only BPE", kWhat,
         model_type == kUnigram ? "Unigram" : "word and character");
  read_normalizer(normalizer, model);
  for (int32_t* id : {&model.bos, &model.eos})
    if (*id < -1 || *id >= static_cast<int64_t>(model.vocab.pieces.size())) *id = -1;
  return model;
}

}  // namespace pare
