#include "model/copy_files.h"

#include "base/atomic_file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "model/gguf_tokenizer.h"
#include "model/load.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFileBytes = 256 << 20;
constexpr const char* kCopied[] = {"tokenizer.json",
                                   "tokenizer_config.json",
                                   "special_tokens_map.json",
                                   "generation_config.json",
                                   "chat_template.jinja",
                                   "vocab.json",
                                   "merges.txt",
                                   "tokenizer.model",
                                   "added_tokens.json"};
constexpr const char* kChatTemplateKey = "tokenizer.chat_template";

std::optional<int32_t> gguf_token(const GgufFile& file, const Tokenizer& tokenizer, const std::string& key) {
  const auto id = file.metadata.find_u32("tokenizer.ggml." + key);
  if (!id || static_cast<int64_t>(*id) >= tokenizer.vocab_size()) return std::nullopt;
  return static_cast<int32_t>(*id);
}

// tokenizer.json, tokenizer_config.json and generation_config.json of a GGUF file.
void write_tokenizer_files(const GgufFile& file, const fs::path& folder) {
  const Tokenizer tokenizer = tokenizer_from_gguf(file);
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
  Json generation = Json::object();
  const auto add = [&](const char* name, const char* key) {
    const auto id = gguf_token(file, tokenizer, key);
    if (!id) return;
    config[std::string(name) + "_token"] = tokenizer.token_bytes(*id);
    generation[std::string(name) + "_token_id"] = *id;
  };
  add("bos", "bos_token_id");
  add("eos", "eos_token_id");
  add("pad", "padding_token_id");
  if (const auto unknown = gguf_token(file, tokenizer, "unknown_token_id"))
    config["unk_token"] = tokenizer.token_bytes(*unknown);
  const std::string& architecture = file.metadata.get_string("general.architecture");
  if (const auto length = file.metadata.find_u32(architecture + ".context_length"))
    config["model_max_length"] = *length;
  if (const std::string* text = file.metadata.find_string(kChatTemplateKey)) config["chat_template"] = *text;
  constexpr auto kReplace = Json::error_handler_t::replace;
  write_file(folder / "tokenizer.json", tokenizer_json(tokenizer.spec()));
  write_file(folder / "tokenizer_config.json", config.dump(2, ' ', false, kReplace) + "\n");
  write_file(folder / "generation_config.json", generation.dump(2) + "\n");
}

// A special token of tokenizer_config.json: its text, or an object with "content".
std::optional<int32_t> named_token(const Json& config, const char* key, const Tokenizer& tokenizer) {
  const auto it = config.find(key);
  if (it == config.end()) return std::nullopt;
  const Json* text = &*it;
  if (text->is_object() && text->contains("content")) text = &(*text)["content"];
  if (!text->is_string()) return std::nullopt;
  return tokenizer.token_id(text->get_ref<const std::string&>());
}

// "chat_template" is one template, or a list of named ones, of which "default" counts.
std::string chat_template_of(const Json& config) {
  const auto it = config.find("chat_template");
  if (it == config.end()) return {};
  if (it->is_string()) return it->get<std::string>();
  if (!it->is_array()) return {};
  for (const Json& entry : *it)
    if (entry.is_object() && entry.value("name", "") == "default") return entry.value("template", "");
  return {};
}

}  // namespace

void copy_tokenizer_files(const fs::path& model_path, const fs::path& folder) {
  if (is_gguf_path(model_path)) return write_tokenizer_files(read_gguf(model_path), folder);
  if (!fs::exists(model_path / "tokenizer.json"))
    log_warning("{} has no tokenizer.json: neither has the output", model_path.string());
  for (const char* name : kCopied)
    if (fs::is_regular_file(model_path / name))
      write_file(folder / name, read_file(model_path / name, kMaxFileBytes));
}

std::string read_manifest(const fs::path& model_path) {
  std::string text;
  if (is_gguf_path(model_path)) {
    const GgufFile file = read_gguf(model_path);
    if (const std::string* found = file.metadata.find_string(kManifestKey)) text = *found;
  } else if (fs::is_regular_file(model_path / kManifestFile)) {
    text = read_file(model_path / kManifestFile, kMaxFileBytes);
  }
  if (!text.empty()) parse_json(text, (model_path / kManifestFile).string());
  return text;
}

ChatInfo read_chat_info(const fs::path& model_path, const Tokenizer& tokenizer) {
  ChatInfo info;
  if (is_gguf_path(model_path)) {
    const GgufFile file = read_gguf(model_path);
    info.bos = gguf_token(file, tokenizer, "bos_token_id");
    info.eos = gguf_token(file, tokenizer, "eos_token_id");
    if (const std::string* text = file.metadata.find_string(kChatTemplateKey)) info.chat_template = *text;
    return info;
  }
  if (const auto path = model_path / "tokenizer_config.json"; fs::is_regular_file(path)) {
    const Json config = parse_json(read_file(path, kMaxFileBytes), path.string());
    if (!config.is_object()) fail(ErrorCode::kFormat, "{}: expected an object", path.string());
    info.bos = named_token(config, "bos_token", tokenizer);
    info.eos = named_token(config, "eos_token", tokenizer);
    info.chat_template = chat_template_of(config);
  }
  if (const auto path = model_path / "chat_template.jinja"; fs::is_regular_file(path))
    info.chat_template = read_file(path, kMaxFileBytes);
  return info;
}

}  // namespace pare
