// Chat format of a checkpoint: chat templates and the special tokens that they write.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "io/gguf.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

struct ChatInfo {
  std::optional<int32_t> bos;
  std::optional<int32_t> eos;
  std::map<std::string, std::string> tokens;     // "bos_token" and the like -> text
  std::map<std::string, std::string> templates;  // by name -> Jinja; an only one is called "default"
};

// Reads a model's chat format. Folder: chat_template.jinja and additional_chat_templates/NAME.jinja, else the
// template or the list of named ones in tokenizer_config.json, else chat_template.json. Where the files and
// tokenizer_config.json disagree, a log line says so. Tokens are those of tokenizer_config.json and
// special_tokens_map.json, else BOS and EOS of config.json. GGUF file: its metadata. Fields without a source
// stay empty. Throws kFormat when a file is broken.
ChatInfo read_chat_info(const std::filesystem::path& model_path, const Tokenizer& tokenizer);

// The templates as GGUF metadata, and back.
std::vector<GgufEntry> gguf_template_entries(const std::map<std::string, std::string>& templates);
std::map<std::string, std::string> gguf_templates(const GgufFile& file);

// A special token of GGUF metadata ("bos_token_id"), when it is in the vocabulary.
std::optional<int32_t> gguf_token(const GgufFile& file, const Tokenizer& tokenizer, const std::string& key);

// The folder of further templates, in a checkpoint.
inline constexpr const char* kMoreTemplatesFolder = "additional_chat_templates";

}  // namespace pare
