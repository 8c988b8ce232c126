#include "model/gguf_tokenizer.h"

#include <set>

#include "base/error.h"

namespace pare {
namespace {

// tokenizer.ggml.token_type
constexpr int32_t kNormal = 1;
constexpr int32_t kControl = 3;
constexpr int32_t kUserDefined = 4;
constexpr int32_t kUnused = 5;

struct PreTokenizerName {
  std::string_view gguf;
  PreTokenizer kind;
};
// The first name of a kind is the one written.
constexpr PreTokenizerName kPreTokenizers[] = {
    {"gpt-2", PreTokenizer::kGpt2},       {"smollm", PreTokenizer::kSmolLM},
    {"llama-bpe", PreTokenizer::kLlama3}, {"llama3", PreTokenizer::kLlama3},
    {"llama-v3", PreTokenizer::kLlama3},
};

PreTokenizer pre_tokenizer_of(const GgufFile& file) {
  const std::string* name = file.metadata.find_string("tokenizer.ggml.pre");
  if (name == nullptr) return PreTokenizer::kGpt2;
  for (const PreTokenizerName& entry : kPreTokenizers)
    if (entry.gguf == *name) return entry.kind;
  fail(ErrorCode::kUnsupported, "{}: pre-tokenizer \"{}\" is not supported", file.name, *name);
}

// Fills an id without a token, as llama.cpp's conversion does.
std::string unused_token(size_t id) { return "[PAD" + std::to_string(id) + "]"; }

}  // namespace

Tokenizer tokenizer_from_gguf(const GgufFile& file) {
  const std::string& model = file.metadata.get_string("tokenizer.ggml.model");
  if (model != "gpt2")
    fail(ErrorCode::kUnsupported, "{}: tokenizer model \"{}\" is not supported (only gpt2: byte-level BPE)",
         file.name, model);
  TokenizerSpec spec;
  spec.vocab = file.metadata.get_strings("tokenizer.ggml.tokens");
  spec.pre_tokenizer = pre_tokenizer_of(file);
  spec.ignore_merges = spec.pre_tokenizer == PreTokenizer::kLlama3;
  for (const std::string& merge : file.metadata.get_strings("tokenizer.ggml.merges")) {
    const size_t space = merge.find(' ', 1);
    if (space == std::string::npos)
      fail(ErrorCode::kFormat, "{}: tokenizer.ggml.merges holds \"{}\", expected two parts", file.name,
           merge);
    spec.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  const auto types = file.metadata.find_i32s("tokenizer.ggml.token_type");
  if (types && types->size() != spec.vocab.size())
    fail(ErrorCode::kFormat, "{}: {} token types for {} tokens", file.name, types->size(), spec.vocab.size());
  for (size_t id = 0; types && id < types->size(); ++id) {
    const int32_t type = (*types)[id];
    if (type == kUnused && spec.vocab[id] == unused_token(id)) spec.vocab[id].clear();
    if (type == kControl || type == kUserDefined)
      spec.added.push_back(
          {.text = spec.vocab[id], .id = static_cast<int32_t>(id), .special = type == kControl});
  }
  // Without the key, llama.cpp puts a BOS before the text for this pre-tokenizer only.
  const bool default_bos = spec.pre_tokenizer == PreTokenizer::kLlama3 &&
                           file.metadata.find("tokenizer.ggml.bos_token_id") != nullptr;
  if (file.metadata.find_bool("tokenizer.ggml.add_bos_token").value_or(default_bos))
    spec.prefix.push_back(static_cast<int32_t>(file.metadata.get_u32("tokenizer.ggml.bos_token_id")));
  if (file.metadata.find_bool("tokenizer.ggml.add_eos_token").value_or(false))
    spec.suffix.push_back(static_cast<int32_t>(file.metadata.get_u32("tokenizer.ggml.eos_token_id")));
  return Tokenizer(std::move(spec));
}

std::vector<GgufEntry> gguf_tokenizer_entries(const Tokenizer& tokenizer, int64_t vocab_size) {
  const TokenizerSpec& spec = tokenizer.spec();
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
  std::vector<std::string> merges;
  for (const auto& [left, right] : spec.merges) merges.push_back(fmt::format("{} {}", left, right));
  std::string pre;
  for (const PreTokenizerName& entry : kPreTokenizers)
    if (entry.kind == spec.pre_tokenizer && pre.empty()) pre = entry.gguf;
  return {{"tokenizer.ggml.model", std::string("gpt2")},
          {"tokenizer.ggml.pre", pre},
          {"tokenizer.ggml.tokens", GgufArray{std::move(tokens)}},
          {"tokenizer.ggml.token_type", GgufArray{std::move(types)}},
          {"tokenizer.ggml.merges", GgufArray{std::move(merges)}},
          {"tokenizer.ggml.add_bos_token", !spec.prefix.empty()},
          {"tokenizer.ggml.add_eos_token", !spec.suffix.empty()}};
}

}  // namespace pare
