#include "checkpoint/end_tokens.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "base/log.h"

namespace pare {
namespace {

constexpr std::string_view kAllEnds = "tokenizer.ggml.eos_token_ids";  // a key of Ollama
constexpr std::array kNamedEnds = {"eos_token_id",     "eot_token_id",     "eom_token_id",
                                   "fim_pad_token_id", "fim_rep_token_id", "fim_sep_token_id"};

// Texts of tokens that llama.cpp takes for ends whatever the metadata says.
constexpr std::string_view kEndTexts[] = {"<|eot_id|>",
                                          "<|im_end|>",
                                          "<|end|>",
                                          "<end_of_turn>",
                                          "<|endoftext|>",
                                          "<|eom_id|>",
                                          "<|end_of_text|>",
                                          "<|fim_pad|>",
                                          "<|repo_name|>",
                                          "<|file_sep|>",
                                          "</s>",
                                          "<eos>",
                                          "<EOT>",
                                          "_<EOT>",
                                          "[EOT]",
                                          "[EOS]",
                                          "<end_of_utterance>"};

bool is_end_text(std::string_view text) {
  return std::find(std::begin(kEndTexts), std::end(kEndTexts), text) != std::end(kEndTexts);
}

constexpr int32_t kNormalToken = 1;  // a value of tokenizer.ggml.token_type

}  // namespace

std::vector<int32_t> read_token_ids(const Json& object, const char* key, std::string_view what) {
  std::vector<int32_t> ids;
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return ids;
  const auto add = [&](const Json& value) {
    if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() > INT32_MAX)
      fail(ErrorCode::kFormat, "{}: key \"{}\" has an unexpected value {}", what, key,
           value.dump().substr(0, 80));
    ids.push_back(value.get<int32_t>());
  };
  if (it->is_array()) {
    for (const Json& value : *it) add(value);
  } else {
    add(*it);
  }
  return ids;
}

void add_ends(std::span<const int32_t> more, std::vector<int32_t>& ends) {
  for (const int32_t id : more)
    if (std::find(ends.begin(), ends.end(), id) == ends.end()) ends.push_back(id);
}

std::vector<int32_t> gguf_ends(const GgufMetadata& metadata) {
  const std::vector<std::string>* tokens = metadata.find_strings("tokenizer.ggml.tokens");
  const auto types = metadata.find_i32s("tokenizer.ggml.token_type");
  std::vector<int32_t> named;
  for (const char* name : kNamedEnds)
    if (const auto id = metadata.find_u32(fmt::format("tokenizer.ggml.{}", name)))
      named.push_back(static_cast<int32_t>(*id));
  if (const auto all = metadata.find_i32s(std::string(kAllEnds)))
    named.insert(named.end(), all->begin(), all->end());
  if (tokens == nullptr) return named;
  std::erase_if(named, [&](int32_t id) { return id < 0 || static_cast<size_t>(id) >= tokens->size(); });
  std::vector<int32_t> ends;
  add_ends(named, ends);
  for (size_t i = 0; i < tokens->size(); ++i) {
    const std::string& text = (*tokens)[i];
    // "</s>" and the like may be ordinary text, marks with bars never are.
    const bool is_text = types && i < types->size() && (*types)[i] == kNormalToken && !text.starts_with("<|");
    const auto id = static_cast<int32_t>(i);
    if (!is_text && is_end_text(text)) add_ends(std::span(&id, 1), ends);
  }
  return ends;
}

std::vector<GgufEntry> gguf_end_entries(std::span<const int32_t> ends, std::span<const std::string> tokens) {
  const auto has_no_text = [&](int32_t id) {
    return id < 0 || static_cast<size_t>(id) >= tokens.size() ||
           !is_end_text(tokens[static_cast<size_t>(id)]);
  };
  std::vector<int32_t> unknown;
  if (!ends.empty()) std::copy_if(ends.begin() + 1, ends.end(), std::back_inserter(unknown), has_no_text);
  if (unknown.empty()) return {};
  std::vector<GgufEntry> entries;
  entries.push_back({std::string(kAllEnds), GgufArray{std::vector<int32_t>(ends.begin(), ends.end())}});
  const char* const free_keys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
  for (size_t i = 0; i < std::min(unknown.size(), std::size(free_keys)); ++i)
    entries.push_back({free_keys[i], static_cast<uint32_t>(unknown[i])});
  if (unknown.size() > std::size(free_keys))
    log_warning("GGUF has no key for the ends {} of a text: other programs will go on behind them",
                fmt::join(std::span(unknown).subspan(std::size(free_keys)), ", "));
  return entries;
}

}  // namespace pare
