#include "checkpoint/copy_files.h"

#include <algorithm>
#include <iterator>

#include "base/atomic_file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "checkpoint/chat_info.h"
#include "checkpoint/end_tokens.h"
#include "checkpoint/generation_config.h"
#include "checkpoint/gguf_tokenizer.h"
#include "checkpoint/load.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFileBytes = 256 << 20;
constexpr const char* kCopied[] = {"tokenizer.json",
                                   "tokenizer_config.json",
                                   "special_tokens_map.json",
                                   "generation_config.json",
                                   "chat_template.jinja",
                                   "chat_template.json",
                                   "vocab.json",
                                   "merges.txt",
                                   "tokenizer.model",
                                   "added_tokens.json"};

// Returns the templates of a GGUF file as tokenizer_config.json has them: one, or a list of named ones.
Json templates_json(const std::map<std::string, std::string>& templates) {
  if (templates.size() == 1 && templates.contains("default")) return templates.at("default");
  Json list = Json::array();
  for (const auto& [name, source] : templates) list.push_back({{"name", name}, {"template", source}});
  return list;
}

constexpr const char* kTokenizerConfig = "tokenizer_config.json";
constexpr const char* kFastTokenizer = "PreTrainedTokenizerFast";
// Without the key, generate(**tokenizer(text)) of transformers 4 refuses the token types that a
// kFastTokenizer passes.
constexpr const char* kInputNames = "model_input_names";
const Json kInputs = {"input_ids", "attention_mask"};

// Writes tokenizer.json, tokenizer_config.json and generation_config.json of a GGUF file.
void write_tokenizer_files(const GgufFile& file, const fs::path& folder) {
  const Tokenizer tokenizer = tokenizer_from_gguf(file);
  Json config = {
      {"tokenizer_class", kFastTokenizer}, {"clean_up_tokenization_spaces", false}, {kInputNames, kInputs}};
  Json generation = generation_json(read_generation_config(file.name));
  const auto add = [&](const char* name, const char* key) {
    const auto id = gguf_token(file, tokenizer, key);
    if (!id) return;
    config[std::string(name) + "_token"] = tokenizer.token_bytes(*id);
    generation[std::string(name) + "_token_id"] = *id;
  };
  add("bos", "bos_token_id");
  add("eos", "eos_token_id");
  add("pad", "padding_token_id");
  if (const std::vector<int32_t> ends = gguf_ends(file.metadata); ends.size() > 1)
    generation["eos_token_id"] = ends;
  if (const auto unknown = gguf_token(file, tokenizer, "unknown_token_id"))
    config["unk_token"] = tokenizer.token_bytes(*unknown);
  const std::string& architecture = file.metadata.get_string("general.architecture");
  if (const auto length = file.metadata.find_u32(architecture + ".context_length"))
    config["model_max_length"] = *length;
  if (const auto templates = gguf_templates(file); !templates.empty())
    config["chat_template"] = templates_json(templates);
  constexpr auto kReplace = Json::error_handler_t::replace;
  write_file(folder / "tokenizer.json", tokenizer_json(tokenizer.spec()));
  write_file(folder / kTokenizerConfig, config.dump(2, ' ', false, kReplace) + "\n");
  write_file(folder / "generation_config.json", generation.dump(2) + "\n");
}

// Keys of tokenizer_config.json that hold paths on the machine that wrote it.
constexpr const char* kPathKeys[] = {"name_or_path", "tokenizer_file", "vocab_file", "merges_file",
                                     "special_tokens_map_file"};

bool is_absolute(const std::string& path) {
  return path.starts_with('/') || path.starts_with('~') || path.find(":\\") == 1;
}

bool drop_paths(Json& config) {
  bool changed = false;
  for (const char* key : kPathKeys) {
    const auto it = config.find(key);
    if (it == config.end() || !it->is_string() || !is_absolute(it->get_ref<const std::string&>())) continue;
    config.erase(it);
    changed = true;
  }
  return changed;
}

// Names the inputs where the class of the tokenizer passes token types if nothing else is said.
bool name_inputs(Json& config) {
  const auto it = config.find("tokenizer_class");
  if (it == config.end() || *it != kFastTokenizer || config.contains(kInputNames)) return false;
  config[kInputNames] = kInputs;
  return true;
}

// Returns a tokenizer_config.json for an output: byte by byte the same where there is nothing to mend.
std::string mended_config(std::string text, const fs::path& path) {
  Json config;
  try {
    config = parse_json(text, path.string());
  } catch (const Error& error) {
    log_warning("{}; the file is carried on as it is", error.what());
    return text;
  }
  if (!config.is_object()) return text;
  const bool dropped = drop_paths(config);
  const bool named = name_inputs(config);
  return dropped || named ? config.dump(2) + "\n" : text;
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

void copy_text(const fs::path& from, const fs::path& to) { write_file(to, read_file(from, kMaxFileBytes)); }

}  // namespace

void copy_tokenizer_files(const fs::path& model_path, const fs::path& folder) {
  if (is_gguf_path(model_path)) return write_tokenizer_files(read_gguf(model_path), folder);
  if (!fs::exists(model_path / "tokenizer.json"))
    log_warning("{} has no tokenizer.json: neither has the output", model_path.string());
  for (const char* name : kCopied)
    if (const fs::path path = model_path / name; fs::is_regular_file(path)) {
      std::string text = read_file(path, kMaxFileBytes);
      if (fs::path(name) == kTokenizerConfig) text = mended_config(std::move(text), path);
      write_file(folder / name, text);
    }
  const fs::path templates = model_path / kMoreTemplatesFolder;
  if (!fs::is_directory(templates)) return;
  fs::create_directory(folder / kMoreTemplatesFolder);
  for (const auto& entry : fs::directory_iterator(templates))
    if (entry.is_regular_file() && entry.path().extension() == ".jinja")
      copy_text(entry.path(), folder / kMoreTemplatesFolder / entry.path().filename());
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

}  // namespace pare
