// Tokens and flags of tokenizer_config.json and its older companions.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "text/tokenizer/tokenizer.h"

namespace pare {

struct TokenizerConfig {
  std::string tokenizer_class;
  std::optional<bool> add_bos_token;
  std::optional<bool> add_eos_token;
  std::optional<bool> add_prefix_space;
  std::optional<bool> legacy;
  std::map<std::string, std::string> named;  // "bos_token" and the like -> text
  std::vector<std::string> special;          // texts of all special tokens, the named ones too
  std::vector<AddedToken> added;             // added tokens with their ids
};

// Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json of a folder, where they exist.
// Throws kFormat when one is broken.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& folder);

// The named tokens ("bos_token" -> text) of one of these files alone; none where it is not there. Throws
// kFormat.
std::map<std::string, std::string> named_tokens_in(const std::filesystem::path& file);

// Adds the config's tokens to a spec that came without them. Special tokens that neither have an id in the
// config nor are in the vocabulary are left out.
void add_config_tokens(const TokenizerConfig& config, TokenizerSpec& spec);

// Sets the BOS/EOS template: `absent` where the config does not say. Throws kFormat when a wanted token has
// no id.
struct TemplateDefaults {
  bool bos = false;
  bool eos = false;
};
void set_template(const TokenizerConfig& config, TemplateDefaults absent, TokenizerSpec& spec);

}  // namespace pare
