#include "checkpoint/disagreements.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/json_file.h"
#include "checkpoint/arch/architecture.h"
#include "checkpoint/chat_info.h"
#include "checkpoint/end_tokens.h"
#include "checkpoint/load.h"
#include "io/checks.h"
#include "io/gguf.h"
#include "text/tokenizer/tokenizer_config.h"

namespace pare {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;
using Said = std::vector<std::pair<std::string, Ids>>;  // ids by source, without sources that give none

// Returns "config.json 1, 2; the tokenizer 3" where the ids are not all alike, else an empty text.
std::string differing(const Said& said) {
  const auto set_of = [](const Ids& ids) { return std::set<int32_t>(ids.begin(), ids.end()); };
  const bool alike = std::all_of(said.begin(), said.end(), [&](const auto& one) {
    return set_of(one.second) == set_of(said.front().second);
  });
  std::string text;
  if (alike) return text;
  for (const auto& [who, ids] : said)
    text += fmt::format("{}{} {}", text.empty() ? "" : "; ", who, fmt::join(ids, ", "));
  return text;
}

void compare_ids(const fs::path& folder, const Json& config, const Tokenizer* tokenizer,
                 std::vector<std::string>& found) {
  const ChatInfo chat = tokenizer != nullptr ? read_chat_info(folder, *tokenizer) : ChatInfo();
  constexpr const char* kGeneration = "generation_config.json";
  const Json generation = read_json_object(folder / kGeneration);
  const auto compare = [&](const char* key, const std::optional<int32_t>& of_tokenizer, const char* what,
                           const char* counts) {
    Said said;
    const auto add = [&](const char* file, const Json& json) {
      if (Ids ids = read_token_ids(json, key, file); !ids.empty()) said.emplace_back(file, std::move(ids));
    };
    add("config.json", config);
    add(kGeneration, generation);
    if (of_tokenizer) said.emplace_back("the tokenizer", Ids{*of_tokenizer});
    if (const std::string text = differing(said); !text.empty())
      found.push_back(fmt::format("{}: {}; {}", what, text, counts));
  };
  compare("eos_token_id", chat.eos, "ends of a text", "each of them ends it");
  compare("bos_token_id", chat.bos, "beginning of a text",
          "a prompt begins as the tokenizer says, a text out of nothing as config.json says");
}

// Compares special tokens: transformers writes both files, older versions and people only one of them.
void compare_special_tokens(const fs::path& folder, std::vector<std::string>& found) {
  const auto first = named_tokens_in(folder / "tokenizer_config.json");
  const auto second = named_tokens_in(folder / "special_tokens_map.json");
  for (const auto& [name, text] : first)
    if (const auto other = second.find(name); other != second.end() && other->second != text)
      found.push_back(
          fmt::format("{}: tokenizer_config.json \"{}\"; special_tokens_map.json \"{}\"; the former counts",
                      name, printable(text), printable(other->second)));
}

// Compares the family's names in config.json: by its type and by its class.
void compare_family(Json config, std::vector<std::string>& found) {
  const Architecture* by_type = architecture_of(config);
  config.erase("model_type");
  const Architecture* by_class = architecture_of(config);
  if (by_type != nullptr && by_class != nullptr && by_type != by_class)
    found.push_back(fmt::format("family: \"model_type\" {}; \"architectures\" {}; the former counts",
                                by_type->name, by_class->name));
}

}  // namespace

std::vector<std::string> disagreements(const fs::path& model_path, const ModelConfig& config,
                                       const Tokenizer* tokenizer) {
  std::vector<std::string> found;
  if (!is_gguf_path(model_path)) {
    const Json json = read_json_object(model_path / "config.json");
    compare_ids(model_path, json, tokenizer, found);
    compare_special_tokens(model_path, found);
    compare_family(json, found);
  }
  if (tokenizer != nullptr && tokenizer->vocab_size() > config.vocab_size)
    found.push_back(
        fmt::format("vocabulary: the tokenizer {} tokens; the embedding {} rows; a token without a row is "
                    "refused",
                    tokenizer->vocab_size(), config.vocab_size));
  return found;
}

}  // namespace pare
