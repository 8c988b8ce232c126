#include "text/tokenizer/tokenizer_config.h"

#include <algorithm>
#include <charconv>

#include "base/json_file.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNamedToken = "_token";  // the end of the keys of special tokens: "bos_token", …

// A special token is its text, or an object with "content". Empty: none.
std::string token_text(const Json& value, const std::string& what) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_object() ? json_find<std::string>(value, "content", what).value_or("") : "";
}

void add_special(const Json& json, const std::string& what, TokenizerConfig& config) {
  const auto add = [&config](const std::string& text) {
    if (!text.empty() &&
        std::find(config.special.begin(), config.special.end(), text) == config.special.end())
      config.special.push_back(text);
  };
  const auto add_named = [&](const std::string& name, const Json& token) {
    const std::string text = token_text(token, what);
    if (!text.empty()) config.named.try_emplace(name, text);
    add(text);
  };
  for (const auto& [key, value] : json.items())
    if (key.ends_with(kNamedToken)) add_named(key, value);
  for (const char* list :
       {"additional_special_tokens", "extra_special_tokens", "model_specific_special_tokens"}) {
    const auto it = json.find(list);
    if (it == json.end()) continue;
    if (it->is_array())
      for (const Json& token : *it) add(token_text(token, what));
    if (it->is_object())
      for (const auto& [name, token] : it->items()) add_named(name, token);
  }
}

int32_t parse_id(const std::string& text, const std::string& what) {
  int32_t id = -1;
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, id);
  if (result.ec != std::errc() || result.ptr != end || id < 0 || id >= Tokenizer::kMaxVocab)
    fail(ErrorCode::kFormat, "{}: \"{}\" is not a token id", what, text.substr(0, 80));
  return id;
}

// "added_tokens_decoder": {"50256": {"content": …, "lstrip": …}}
void read_added_decoder(const Json& json, const std::string& what, TokenizerConfig& config) {
  const auto it = json.find("added_tokens_decoder");
  if (it == json.end() || !it->is_object()) return;
  for (const auto& [key, value] : it->items()) {
    const Json& entry = value;
    AddedToken token;
    token.id = parse_id(key, what);
    token.text = json_get<std::string>(entry, "content", what);
    const auto flag = [&](const char* name) { return json_find<bool>(entry, name, what); };
    token.special = flag("special").value_or(false);
    token.lstrip = flag("lstrip").value_or(false);
    token.rstrip = flag("rstrip").value_or(false);
    token.single_word = flag("single_word").value_or(false);
    token.normalized = flag("normalized").value_or(!token.special);
    config.added.push_back(std::move(token));
  }
}

// added_tokens.json: {"text": id}
void read_added_tokens(const fs::path& path, TokenizerConfig& config) {
  const Json json = read_json_object(path);
  for (const auto& [text, value] : json.items()) {
    if (!value.is_number_integer()) fail(ErrorCode::kFormat, "{}: \"{}\" has no id", path.string(), text);
    const bool special =
        std::find(config.special.begin(), config.special.end(), text) != config.special.end();
    config.added.push_back({.text = text,
                            .id = parse_id(value.dump(), path.string()),
                            .special = special,
                            .normalized = !special});
  }
}

std::optional<int32_t> id_of(const TokenizerSpec& spec, const std::string& text) {
  for (const AddedToken& token : spec.added)
    if (token.text == text) return token.id;
  const auto it = std::find(spec.vocab.begin(), spec.vocab.end(), text);
  if (it == spec.vocab.end()) return std::nullopt;
  return static_cast<int32_t>(it - spec.vocab.begin());
}

}  // namespace

TokenizerConfig read_tokenizer_config(const fs::path& folder) {
  const fs::path path = folder / "tokenizer_config.json";
  const Json json = read_json_object(path);
  const std::string what = path.string();
  TokenizerConfig config;
  config.tokenizer_class = json_find<std::string>(json, "tokenizer_class", what).value_or("");
  config.add_bos_token = json_find<bool>(json, "add_bos_token", what);
  config.add_eos_token = json_find<bool>(json, "add_eos_token", what);
  config.add_prefix_space = json_find<bool>(json, "add_prefix_space", what);
  config.legacy = json_find<bool>(json, "legacy", what);
  add_special(json, what, config);
  const fs::path map = folder / "special_tokens_map.json";
  add_special(read_json_object(map), map.string(), config);
  read_added_decoder(json, what, config);
  if (config.added.empty()) read_added_tokens(folder / "added_tokens.json", config);
  return config;
}

std::map<std::string, std::string> named_tokens_in(const fs::path& file) {
  TokenizerConfig config;
  add_special(read_json_object(file), file.string(), config);
  return config.named;
}

void add_config_tokens(const TokenizerConfig& config, TokenizerSpec& spec) {
  const auto put = [&spec](const AddedToken& token) {
    const auto same = std::find_if(spec.added.begin(), spec.added.end(),
                                   [&](const AddedToken& other) { return other.id == token.id; });
    if (same == spec.added.end())
      spec.added.push_back(token);
    else
      *same = token;
  };
  for (const AddedToken& token : config.added) put(token);
  for (const std::string& text : config.special) {
    const bool is_known = std::any_of(spec.added.begin(), spec.added.end(),
                                      [&](const AddedToken& token) { return token.text == text; });
    const auto id = is_known ? std::nullopt : id_of(spec, text);
    if (id) put({.text = text, .id = *id, .special = true});
  }
}

void set_template(const TokenizerConfig& config, TemplateDefaults absent, TokenizerSpec& spec) {
  const auto ids = [&](bool wanted, const char* name) {
    std::vector<int32_t> out;
    const auto it = config.named.find(name);
    // Without such a token there is nothing to add: many files leave the flag on.
    if (!wanted || it == config.named.end()) return out;
    const auto id = id_of(spec, it->second);
    if (!id)
      fail(ErrorCode::kFormat, "tokenizer_config.json: {} \"{}\" is not in the vocabulary", name, it->second);
    out.push_back(*id);
    return out;
  };
  spec.prefix = ids(config.add_bos_token.value_or(absent.bos), "bos_token");
  spec.suffix = ids(config.add_eos_token.value_or(absent.eos), "eos_token");
}

}  // namespace pare
