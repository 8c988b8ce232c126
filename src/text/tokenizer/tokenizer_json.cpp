// Reading tokenizer.json of the `tokenizers` library: every part is either understood or named as
// unsupported.
#include <algorithm>

#include "text/tokenizer/tokenizer_json_reader.h"

namespace pare {
namespace tokenizer_json_reader {

const Json* find(const Json& object, const char* key) {
  if (!object.is_object())
    fail(ErrorCode::kFormat, "{}: expected an object with \"{}\", got {}", kWhat, key, object.type_name());
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

const Json& member(const Json& object, const char* key, Json::value_t type) {
  const Json* value = find(object, key);
  if (value == nullptr) fail(ErrorCode::kFormat, "{}: key \"{}\" is missing", kWhat, key);
  if (value->type() != type)
    fail(ErrorCode::kFormat, "{}: key \"{}\" is {}, expected {}", kWhat, key, value->type_name(),
         Json(type).type_name());
  return *value;
}

bool flag(const Json& object, const char* key, bool absent) {
  return json_find<bool>(object, key, kWhat).value_or(absent);
}

std::string type_of(const Json& part) { return json_get<std::string>(part, "type", kWhat); }

std::vector<const Json*> parts_of(const Json* part, const char* list_key) {
  if (part == nullptr) return {};
  if (type_of(*part) != "Sequence") return {part};
  std::vector<const Json*> parts;
  for (const Json& inner : member(*part, list_key, Json::value_t::array)) {
    const auto inner_parts = parts_of(&inner, list_key);
    parts.insert(parts.end(), inner_parts.begin(), inner_parts.end());
  }
  return parts;
}

}  // namespace tokenizer_json_reader

namespace {

using namespace tokenizer_json_reader;

int32_t to_id(const Json& value, std::string_view token, const char* what = kWhat) {
  if (!value.is_number_integer() || value < 0 || value >= Tokenizer::kMaxVocab)
    fail(ErrorCode::kFormat, "{}: token \"{}\" has id {}, expected 0 to {}", what, token, value.dump(),
         Tokenizer::kMaxVocab - 1);
  return value.get<int32_t>();
}

// "left right" (older files) or ["left", "right"].
void read_merges(const Json& model, TokenizerSpec& spec) {
  for (const Json& merge : member(model, "merges", Json::value_t::array)) {
    if (merge.is_string()) {
      const auto& text = merge.get_ref<const std::string&>();
      if (text.starts_with("#version")) continue;
      const size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
        fail(ErrorCode::kFormat, "{}: merge \"{}\" is not two tokens and a space", kWhat, text);
      spec.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      spec.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
    } else {
      fail(ErrorCode::kFormat, "{}: merge {} is {}, expected two tokens", kWhat, spec.merges.size(),
           merge.dump().substr(0, 80));
    }
  }
}

void read_model(const Json& model, TokenizerSpec& spec) {
  const std::string type = json_find<std::string>(model, "type", kWhat).value_or("BPE");
  if (type != "BPE") unsupported("model type \"{}\"", type);
  if (json_find<double>(model, "dropout", kWhat).value_or(0) != 0) unsupported("model with dropout");
  spec.byte_fallback = flag(model, "byte_fallback");
  if (spec.byte_fallback && is_byte_level(spec.pre_tokenizer))
    unsupported("model with byte_fallback and the pre_tokenizer ByteLevel");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!json_find<std::string>(model, affix, kWhat).value_or("").empty())
      unsupported("model with {}", affix);
  read_vocab_json(member(model, "vocab", Json::value_t::object), kWhat, spec);
  read_merges(model, spec);
  spec.ignore_merges = flag(model, "ignore_merges");
  spec.fuse_unknown = flag(model, "fuse_unk");
  if (const auto unknown = json_find<std::string>(model, "unk_token", kWhat)) {
    const auto it = std::find(spec.vocab.begin(), spec.vocab.end(), *unknown);
    if (unknown->empty() || it == spec.vocab.end())
      fail(ErrorCode::kFormat, "{}: unk_token \"{}\" is not in the vocabulary", kWhat, *unknown);
    spec.unknown = static_cast<int32_t>(it - spec.vocab.begin());
  }
}

void read_added_tokens(const Json& root, TokenizerSpec& spec) {
  const Json* tokens = find(root, "added_tokens");
  if (tokens == nullptr) return;
  for (const Json& token : *tokens) {
    AddedToken added;
    added.text = json_get<std::string>(token, "content", kWhat);
    if (added.text.empty()) continue;  // the library ignores tokens without a text
    const Json* id = find(token, "id");
    added.id = to_id(id == nullptr ? Json() : *id, added.text);
    added.special = flag(token, "special");
    added.lstrip = flag(token, "lstrip");
    added.rstrip = flag(token, "rstrip");
    added.single_word = flag(token, "single_word");
    added.normalized = flag(token, "normalized", !added.special);
    spec.added.push_back(std::move(added));
  }
}

// One template token: its ids, from the "special_tokens" table.
std::vector<int32_t> template_ids(const Json& processor, const Json& item) {
  const std::string name = json_get<std::string>(item, "id", kWhat);
  const Json& table = member(processor, "special_tokens", Json::value_t::object);
  const Json& entry = member(table, name.c_str(), Json::value_t::object);
  std::vector<int32_t> ids;
  for (const Json& id : member(entry, "ids", Json::value_t::array)) ids.push_back(to_id(id, name));
  return ids;
}

void read_template(const Json& processor, TokenizerSpec& spec) {
  bool seen_text = false;
  for (const Json& item : member(processor, "single", Json::value_t::array)) {
    if (find(item, "Sequence") != nullptr) {
      if (seen_text) unsupported("post_processor template with the text twice");
      seen_text = true;
    } else {
      const auto ids = template_ids(processor, member(item, "SpecialToken", Json::value_t::object));
      auto& side = seen_text ? spec.suffix : spec.prefix;
      side.insert(side.end(), ids.begin(), ids.end());
    }
  }
  if (!seen_text) unsupported("post_processor template without the text");
}

// "cls" and "sep", a text and an id each, stand before and behind the text.
void read_ends(const Json& processor, TokenizerSpec& spec) {
  const auto id_of = [&](const char* key) {
    const Json& token = member(processor, key, Json::value_t::array);
    return to_id(token.size() == 2 ? token[1] : Json(), key);
  };
  spec.prefix = {id_of("cls")};
  spec.suffix = {id_of("sep")};
}

void read_post_processor(const Json& root, TokenizerSpec& spec) {
  bool seen_template = false;
  for (const Json* part : parts_of(find(root, "post_processor"), "processors")) {
    const std::string type = type_of(*part);
    if (type == "ByteLevel") continue;  // a post-processor that concerns offsets only
    const bool has_ends = type == "BertProcessing" || type == "RobertaProcessing";
    if ((type != "TemplateProcessing" && !has_ends) || seen_template)
      unsupported("post_processor \"{}\"{}", type, seen_template ? " after a template" : "");
    if (has_ends)
      read_ends(*part, spec);
    else
      read_template(*part, spec);
    seen_template = true;
  }
}

}  // namespace

void read_vocab_json(const Json& vocab, const char* what, TokenizerSpec& spec) {
  if (!vocab.is_object()) fail(ErrorCode::kFormat, "{}: expected an object, got {}", what, vocab.type_name());
  for (const auto& [token, value] : vocab.items()) {
    const int32_t id = to_id(value, token, what);
    if (static_cast<size_t>(id) >= spec.vocab.size()) spec.vocab.resize(static_cast<size_t>(id) + 1);
    if (!spec.vocab[id].empty())
      fail(ErrorCode::kFormat, "{}: tokens \"{}\" and \"{}\" share id {}", what, spec.vocab[id], token, id);
    spec.vocab[id] = token;
  }
}

TokenizerSpec tokenizer_spec_from_json(std::string_view json) {
  const Json root = parse_json(json, kWhat);
  TokenizerSpec spec;
  read_normalizer(root, spec);
  read_pre_tokenizer(root, spec);
  read_decoder(root, spec);
  read_model(member(root, "model", Json::value_t::object), spec);
  read_added_tokens(root, spec);
  read_post_processor(root, spec);
  return spec;
}

Tokenizer Tokenizer::from_json(std::string_view json) { return Tokenizer(tokenizer_spec_from_json(json)); }

}  // namespace pare
