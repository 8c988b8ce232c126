#include "checkpoint/gguf_tokenizer.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/gguf_pre_tokenizers.h"
#include "text/tokenizer/sentencepiece.h"

namespace pare {
namespace {

// Values of tokenizer.ggml.token_type.
constexpr int32_t kNormal = 1;
constexpr int32_t kControl = 3;
constexpr int32_t kUserDefined = 4;
constexpr int32_t kUnused = 5;

// Returns tokenizer.ggml.pre; without it, the name that llama.cpp assumes.
std::string pre_tokenizer_name(const GgufFile& file) {
  if (const std::string* name = file.metadata.find_string("tokenizer.ggml.pre")) return *name;
  return std::string(kDefaultPreTokenizer);
}

void warn_of_default(const GgufFile& file) {
  const bool is_missing = file.metadata.find("tokenizer.ggml.pre") == nullptr;
  log_warning(
      "{}: tokenizer.ggml.pre {}: text is cut by the default rules of llama.cpp, which are not those that "
      "most models "
      "were trained with, so what the model writes may be worse; a file converted anew says which rules it "
      "needs",
      file.name, is_missing ? "is missing, as in old files" : "is \"default\"");
}

// Fills an id without a token, as llama.cpp's conversion does.
std::string unused_token(size_t id) { return "[PAD" + std::to_string(id) + "]"; }

// Returns the types of `count` tokens, if the file has them.
std::optional<std::vector<int32_t>> token_types(const GgufFile& file, size_t count) {
  auto types = file.metadata.find_i32s("tokenizer.ggml.token_type");
  if (types && types->size() != count)
    fail(ErrorCode::kFormat, "{}: {} token types for {} tokens", file.name, types->size(), count);
  return types;
}

// Reads tokenizer.ggml.model "gpt2"; adds_bos: whether a BOS comes first unless the file says otherwise.
TokenizerSpec byte_level_spec(const GgufFile& file, bool& adds_bos) {
  TokenizerSpec spec;
  spec.vocab = file.metadata.get_strings("tokenizer.ggml.tokens");
  const std::string name = pre_tokenizer_name(file);
  adds_bos = apply_gguf_pre_tokenizer(name, file.name, spec).adds_bos;
  if (name == kDefaultPreTokenizer) warn_of_default(file);
  for (const std::string& merge : file.metadata.get_strings("tokenizer.ggml.merges")) {
    const size_t space = merge.find(' ', 1);
    if (space == std::string::npos)
      fail(ErrorCode::kFormat, "{}: tokenizer.ggml.merges holds \"{}\", expected two parts", file.name,
           merge);
    spec.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  const auto types = token_types(file, spec.vocab.size());
  for (size_t id = 0; types && id < types->size(); ++id) {
    const int32_t type = (*types)[id];
    if (type == kUnused && spec.vocab[id] == unused_token(id)) spec.vocab[id].clear();
    if (type == kControl || type == kUserDefined)
      spec.added.push_back(
          {.text = spec.vocab[id], .id = static_cast<int32_t>(id), .special = type == kControl});
  }
  return spec;
}

// Reads tokenizer.ggml.model "llama".
TokenizerSpec sentencepiece_spec_from(const GgufFile& file) {
  const std::vector<std::string>& tokens = file.metadata.get_strings("tokenizer.ggml.tokens");
  const std::vector<float>& scores = file.metadata.get_f32s("tokenizer.ggml.scores");
  const auto types = token_types(file, tokens.size());
  if (scores.size() != tokens.size())
    fail(ErrorCode::kFormat, "{}: {} token scores for {} tokens", file.name, scores.size(), tokens.size());
  SentencePieceVocab vocab;
  vocab.add_dummy_prefix = file.metadata.find_bool("tokenizer.ggml.add_space_prefix").value_or(true);
  for (size_t id = 0; id < tokens.size(); ++id) {
    const int32_t type = types ? (*types)[id] : kNormal;
    if (type < kNormal || type > static_cast<int32_t>(PieceType::kByte))
      fail(ErrorCode::kFormat, "{}: token {} has type {}, expected 1 to 6", file.name, id, type);
    vocab.pieces.push_back({tokens[id], scores[id], static_cast<PieceType>(type)});
  }
  return sentencepiece_spec(vocab);
}

// Returns better scores for tokens that are merged earlier; a token that no merge makes needs none.
std::vector<float> scores_of(const Tokenizer& tokenizer, size_t count) {
  const TokenizerSpec& spec = tokenizer.spec();
  std::vector<float> scores(count, -static_cast<float>(spec.merges.size()));
  for (size_t i = spec.merges.size(); i-- > 0;)
    scores[static_cast<size_t>(*tokenizer.token_id(spec.merges[i].first + spec.merges[i].second))] =
        -static_cast<float>(i);
  return scores;
}

// Throws for a normal form that GGUF cannot name: form C belongs to some pre-tokenizers, other forms to none.
void require_gguf_normalizer(const TokenizerSpec& spec) {
  for (const NormalizerStep& step : spec.normalizer)
    if (const std::string_view name = normalizer_name(step.kind);
        !name.empty() && step.kind != NormalizerStep::Kind::kNfc)
      fail(ErrorCode::kUnsupported, "the tokenizer's normalizer {} cannot be said in a GGUF file", name);
}

bool prepends_space(const TokenizerSpec& spec) {
  if (spec.prefix_space != PrefixSpace::kNever) return true;
  return std::any_of(spec.normalizer.begin(), spec.normalizer.end(),
                     [](const NormalizerStep& step) { return step.kind == NormalizerStep::Kind::kPrepend; });
}

}  // namespace

Tokenizer tokenizer_from_gguf(const GgufFile& file) {
  const std::string& model = file.metadata.get_string("tokenizer.ggml.model");
  if (model != "gpt2" && model != "llama")
    fail(ErrorCode::kUnsupported,
         "{}: tokenizer model \"{}\" is not supported (only gpt2: byte-level BPE, and llama: SentencePiece "
         "BPE)",
         file.name, model);
  bool adds_bos = true;  // default where the file does not say; llama.cpp adds it for some kinds
  TokenizerSpec spec = model == "gpt2" ? byte_level_spec(file, adds_bos) : sentencepiece_spec_from(file);
  const bool default_bos = adds_bos && file.metadata.find("tokenizer.ggml.bos_token_id") != nullptr;
  if (file.metadata.find_bool("tokenizer.ggml.add_bos_token").value_or(default_bos))
    spec.prefix.push_back(static_cast<int32_t>(file.metadata.get_u32("tokenizer.ggml.bos_token_id")));
  if (file.metadata.find_bool("tokenizer.ggml.add_eos_token").value_or(false))
    spec.suffix.push_back(static_cast<int32_t>(file.metadata.get_u32("tokenizer.ggml.eos_token_id")));
  return Tokenizer(std::move(spec));
}

std::vector<GgufEntry> gguf_tokenizer_entries(const Tokenizer& tokenizer, int64_t vocab_size) {
  const TokenizerSpec& spec = tokenizer.spec();
  require_gguf_normalizer(spec);
  std::vector<std::string> tokens = spec.vocab;
  if (static_cast<int64_t>(tokens.size()) > vocab_size)
    fail(ErrorCode::kInvalid, "the tokenizer has {} tokens, the model {} rows", tokens.size(), vocab_size);
  std::vector<int32_t> types(tokens.size(), kNormal);
  if (static_cast<int64_t>(tokens.size()) < vocab_size) {
    tokens.resize(static_cast<size_t>(vocab_size));
    types.resize(static_cast<size_t>(vocab_size), kUnused);
  }
  for (const AddedToken& added : spec.added) {
    const auto id = static_cast<size_t>(added.id);
    if (id >= tokens.size())
      fail(ErrorCode::kInvalid, "token \"{}\" has id {}, the model has {} rows", added.text, added.id,
           vocab_size);
    tokens[id] = added.text;
    types[id] = added.special ? kControl : kUserDefined;
  }
  for (size_t id = 0; id < tokens.size(); ++id)
    if (tokens[id].empty()) {
      tokens[id] = unused_token(id);
      types[id] = kUnused;
    }
  std::vector<GgufEntry> entries = {{"tokenizer.ggml.add_bos_token", !spec.prefix.empty()},
                                    {"tokenizer.ggml.add_eos_token", !spec.suffix.empty()}};
  if (is_byte_level(spec.pre_tokenizer)) {
    std::vector<std::string> merges;
    for (const auto& [left, right] : spec.merges) merges.push_back(fmt::format("{} {}", left, right));
    entries.push_back({"tokenizer.ggml.model", std::string("gpt2")});
    entries.push_back({"tokenizer.ggml.pre", gguf_pre_tokenizer_name(spec)});
    entries.push_back({"tokenizer.ggml.merges", GgufArray{std::move(merges)}});
  } else {
    for (size_t id = 0; id < tokens.size(); ++id)
      if (types[id] == kNormal && spec.byte_fallback && byte_of_token(tokens[id]) >= 0)
        types[id] = static_cast<int32_t>(PieceType::kByte);
    if (spec.unknown) types[static_cast<size_t>(*spec.unknown)] = static_cast<int32_t>(PieceType::kUnknown);
    entries.push_back({"tokenizer.ggml.model", std::string("llama")});
    entries.push_back({"tokenizer.ggml.pre", std::string("default")});
    entries.push_back({"tokenizer.ggml.scores", GgufArray{scores_of(tokenizer, tokens.size())}});
    entries.push_back({"tokenizer.ggml.add_space_prefix", prepends_space(spec)});
    if (spec.unknown)
      entries.push_back({"tokenizer.ggml.unknown_token_id", static_cast<uint32_t>(*spec.unknown)});
  }
  entries.push_back({"tokenizer.ggml.tokens", GgufArray{std::move(tokens)}});
  entries.push_back({"tokenizer.ggml.token_type", GgufArray{std::move(types)}});
  return entries;
}

}  // namespace pare
