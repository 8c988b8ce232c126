#include "model/copy_files.h"

#include <algorithm>
#include <iterator>

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
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false},
                 // Or generate() of transformers 4 would refuse the token types that go with the class.
                 {"model_input_names", {"input_ids", "attention_mask"}}};
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

// Where the files lay on the machine that wrote them: keys of tokenizer_config.json.
constexpr const char* kPathKeys[] = {"name_or_path", "tokenizer_file", "vocab_file", "merges_file",
                                     "special_tokens_map_file"};

bool is_absolute(const std::string& path) {
  return path.starts_with('/') || path.starts_with('~') || path.find(":\\") == 1;
}

// tokenizer_config.json without absolute paths: byte by byte the same where there are none.
std::string without_paths(std::string text, const fs::path& path) {
  const auto names = [&](const char* key) {
    return text.find(fmt::format("\"{}\"", key)) != std::string::npos;
  };
  if (std::none_of(std::begin(kPathKeys), std::end(kPathKeys), names)) return text;
  Json config = parse_json(text, path.string());
  bool changed = false;
  for (const char* key : kPathKeys) {
    const auto it = config.is_object() ? config.find(key) : config.end();
    if (!config.is_object() || it == config.end() || !it->is_string()) continue;
    if (!is_absolute(it->get_ref<const std::string&>())) continue;
    config.erase(it);
    changed = true;
  }
  return changed ? config.dump(2) + "\n" : text;
}

// Earlier versions kept the path of the calibration text. Several have " + " between them.
bool name_files_only(Json& source) {
  if (!source.is_string()) return false;
  const auto& text = source.get_ref<const std::string&>();
  if (text.find('/') == std::string::npos) return false;
  constexpr std::string_view kBetween = " + ";
  std::string names;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(kBetween, begin), text.size());
    const std::string name = fs::path(text.substr(begin, end - begin)).filename().string();
    names += fmt::format("{}{}", names.empty() ? "" : kBetween, name);
    begin = end + kBetween.size();
  }
  source = names;
  return true;
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
    if (const fs::path path = model_path / name; fs::is_regular_file(path))
      write_file(folder / name, without_paths(read_file(path, kMaxFileBytes), path));
}

std::string read_manifest(const fs::path& model_path) {
  std::string text;
  if (is_gguf_path(model_path)) {
    const GgufFile file = read_gguf(model_path);
    if (const std::string* found = file.metadata.find_string(kManifestKey)) text = *found;
  } else if (fs::is_regular_file(model_path / kManifestFile)) {
    text = read_file(model_path / kManifestFile, kMaxFileBytes);
  }
  if (text.empty()) return text;
  Json manifest = parse_json(text, (model_path / kManifestFile).string());
  const auto source = Json::json_pointer("/recipe/calibration/source");
  return manifest.contains(source) && name_files_only(manifest[source]) ? manifest.dump(2) + "\n" : text;
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
