#include "checkpoint/chat_info.h"

#include <algorithm>

#include "base/json_file.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "checkpoint/load.h"
#include "text/tokenizer/tokenizer_config.h"

namespace pare {
namespace {

namespace fs = std::filesystem;
using Templates = std::map<std::string, std::string>;

constexpr uint64_t kMaxTemplateBytes = 4 << 20;
constexpr size_t kMaxTemplates = 64;
constexpr const char* kDefault = "default";
constexpr const char* kTemplateKey = "tokenizer.chat_template";
constexpr const char* kNamesKey = "tokenizer.chat_templates";

// Names of GGUF's tokens -> names of the variables of a template.
constexpr std::pair<const char*, const char*> kGgufTokens[] = {
    {"bos_token_id", "bos_token"},     {"eos_token_id", "eos_token"},       {"unknown_token_id", "unk_token"},
    {"padding_token_id", "pad_token"}, {"seperator_token_id", "sep_token"},  // spelled so by the format
    {"cls_token_id", "cls_token"},     {"mask_token_id", "mask_token"}};

// "chat_template" is one template, or a list of named ones.
Templates templates_in(const Json& config, const fs::path& path) {
  Templates templates;
  const auto it = config.find("chat_template");
  if (it == config.end() || it->is_null()) return templates;
  if (it->is_string()) {
    templates[kDefault] = it->get<std::string>();
    return templates;
  }
  if (!it->is_array() || it->size() > kMaxTemplates)
    fail(ErrorCode::kFormat, "{}: \"chat_template\" is neither a text nor a list of at most {} named ones",
         path.string(), kMaxTemplates);
  for (const Json& entry : *it) {
    if (!entry.is_object())
      fail(ErrorCode::kFormat, "{}: \"chat_template\" holds what is no named template", path.string());
    templates[json_get<std::string>(entry, "name", path.string())] =
        json_get<std::string>(entry, "template", path.string());
  }
  return templates;
}

// Reads the files that hold a template only.
Templates template_files(const fs::path& folder) {
  Templates templates;
  if (const fs::path path = folder / "chat_template.jinja"; fs::is_regular_file(path))
    templates[kDefault] = read_file(path, kMaxTemplateBytes);
  const fs::path more = folder / kMoreTemplatesFolder;
  if (!fs::is_directory(more)) return templates;
  for (const auto& entry : fs::directory_iterator(more)) {
    if (!entry.is_regular_file() || entry.path().extension() != ".jinja") continue;
    if (templates.size() >= kMaxTemplates)
      fail(ErrorCode::kFormat, "{}: more than {} chat templates", more.string(), kMaxTemplates);
    templates[entry.path().stem().string()] = read_file(entry.path(), kMaxTemplateBytes);
  }
  return templates;
}

Templates folder_templates(const fs::path& folder, const Json& config) {
  const fs::path processor = folder / "chat_template.json";
  Templates files = template_files(folder);
  const char* from = files.contains(kDefault) ? "chat_template.jinja" : kMoreTemplatesFolder;
  const std::pair<const char*, Templates> others[] = {
      {"tokenizer_config.json", templates_in(config, folder / "tokenizer_config.json")},
      {"chat_template.json", templates_in(read_json_object(processor), processor)}};
  Templates used = std::move(files);
  for (const auto& [name, templates] : others) {
    if (templates.empty()) continue;
    if (used.empty()) {
      used = templates;
      from = name;
    } else if (templates != used) {
      log_info("the chat templates of {} differ from {}, which is used", name, from);
    }
  }
  return used;
}

// Returns the first of "bos_token_id" or "eos_token_id" in a config.json, which may be a number or a list.
std::optional<int32_t> config_id(const Json& config, const char* key, const Tokenizer& tokenizer) {
  auto it = config.find(key);
  if (it == config.end()) return std::nullopt;
  const Json& id = it->is_array() && !it->empty() ? it->front() : *it;
  if (!id.is_number_unsigned() || id.get<uint64_t>() >= static_cast<uint64_t>(tokenizer.vocab_size()))
    return std::nullopt;
  return id.get<int32_t>();
}

ChatInfo folder_info(const fs::path& folder, const Tokenizer& tokenizer) {
  ChatInfo info;
  info.templates = folder_templates(folder, read_json_object(folder / "tokenizer_config.json"));
  info.tokens = read_tokenizer_config(folder).named;
  if (info.tokens.empty()) {
    const Json config = read_json_object(folder / "config.json");
    for (const char* name : {"bos_token", "eos_token"})
      if (const auto id = config_id(config, (std::string(name) + "_id").c_str(), tokenizer))
        info.tokens[name] = tokenizer.token_bytes(*id);
  }
  const auto id_of = [&](const char* name) -> std::optional<int32_t> {
    const auto it = info.tokens.find(name);
    return it == info.tokens.end() ? std::nullopt : tokenizer.token_id(it->second);
  };
  info.bos = id_of("bos_token");
  info.eos = id_of("eos_token");
  return info;
}

ChatInfo gguf_info(const GgufFile& file, const Tokenizer& tokenizer) {
  ChatInfo info;
  info.templates = gguf_templates(file);
  for (const auto& [key, name] : kGgufTokens)
    if (const auto id = gguf_token(file, tokenizer, key)) info.tokens[name] = tokenizer.token_bytes(*id);
  info.bos = gguf_token(file, tokenizer, "bos_token_id");
  info.eos = gguf_token(file, tokenizer, "eos_token_id");
  return info;
}

}  // namespace

ChatInfo read_chat_info(const fs::path& model_path, const Tokenizer& tokenizer) {
  if (is_gguf_path(model_path)) return gguf_info(read_gguf(model_path), tokenizer);
  return folder_info(model_path, tokenizer);
}

std::vector<GgufEntry> gguf_template_entries(const Templates& templates) {
  std::vector<GgufEntry> entries;
  std::vector<std::string> names;
  for (const auto& [name, source] : templates) {
    if (name == kDefault) {
      entries.push_back({kTemplateKey, source});
      continue;
    }
    entries.push_back({fmt::format("{}.{}", kTemplateKey, name), source});
    names.push_back(name);
  }
  if (!names.empty()) entries.push_back({kNamesKey, GgufArray{std::move(names)}});
  return entries;
}

Templates gguf_templates(const GgufFile& file) {
  Templates templates;
  if (const std::string* source = file.metadata.find_string(kTemplateKey)) templates[kDefault] = *source;
  const std::vector<std::string>* names = file.metadata.find_strings(kNamesKey);
  if (names == nullptr) return templates;
  if (names->size() > kMaxTemplates)
    fail(ErrorCode::kFormat, "{}: {} names {} templates, expected at most {}", file.name, kNamesKey,
         names->size(), kMaxTemplates);
  for (const std::string& name : *names)
    if (const std::string* source = file.metadata.find_string(fmt::format("{}.{}", kTemplateKey, name)))
      templates[name] = *source;
  return templates;
}

std::optional<int32_t> gguf_token(const GgufFile& file, const Tokenizer& tokenizer, const std::string& key) {
  const auto id = file.metadata.find_u32("tokenizer.ggml." + key);
  if (!id || static_cast<int64_t>(*id) >= tokenizer.vocab_size()) return std::nullopt;
  return static_cast<int32_t>(*id);
}

}  // namespace pare
