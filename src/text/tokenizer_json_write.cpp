// Writing tokenizer.json as the `tokenizers` library reads it.
#include <algorithm>

#include "base/json.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json_regex.h"

namespace pare {
namespace {

Json byte_level(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json pre_tokenizer_json(const TokenizerSpec& spec) {
  if (spec.pre_tokenizer == PreTokenizer::kGpt2) return byte_level(spec.add_prefix_space, true);
  Json parts = Json::array();
  if (spec.pre_tokenizer == PreTokenizer::kSmolLM) {
    parts.push_back({{"type", "Digits"}, {"individual_digits", true}});
    parts.push_back(byte_level(false, true));
  } else {
    parts.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", kLlama3Regex}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
    parts.push_back(byte_level(false, false));
  }
  return {{"type", "Sequence"}, {"pretokenizers", parts}};
}

// Texts of ids, as the file names them.
std::string text_of(const TokenizerSpec& spec, int32_t id) {
  for (const AddedToken& added : spec.added)
    if (added.id == id) return added.text;
  PARE_CHECK(id >= 0 && static_cast<size_t>(id) < spec.vocab.size());
  return spec.vocab[static_cast<size_t>(id)];
}

// The template of BOS and EOS, around one text and around each of a pair.
Json post_processor_json(const TokenizerSpec& spec) {
  if (spec.prefix.empty() && spec.suffix.empty()) return byte_level(true, true);
  Json special = Json::object();
  const auto add_ids = [&](Json& items, const std::vector<int32_t>& ids, int type) {
    for (const int32_t id : ids) {
      const std::string text = text_of(spec, id);
      items.push_back({{"SpecialToken", {{"id", text}, {"type_id", type}}}});
      special[text] = {{"id", text}, {"ids", Json::array({id})}, {"tokens", Json::array({text})}};
    }
  };
  const auto add_text = [&](Json& items, const char* name, int type) {
    add_ids(items, spec.prefix, type);
    items.push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
    add_ids(items, spec.suffix, type);
  };
  Json single = Json::array();
  add_text(single, "A", 0);
  Json pair = single;
  add_text(pair, "B", 1);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

Json added_json(const TokenizerSpec& spec) {
  std::vector<AddedToken> added = spec.added;
  // The library numbers them in this order.
  std::sort(added.begin(), added.end(), [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  Json list = Json::array();
  for (const AddedToken& token : added)
    list.push_back({{"id", token.id},
                    {"content", token.text},
                    {"single_word", token.single_word},
                    {"lstrip", token.lstrip},
                    {"rstrip", token.rstrip},
                    {"normalized", token.normalized},
                    {"special", token.special}});
  return list;
}

Json model_json(const TokenizerSpec& spec) {
  // Appended as pairs: operator[] of this object searches it from the front every time.
  Json::object_t entries;
  entries.reserve(spec.vocab.size());
  for (size_t id = 0; id < spec.vocab.size(); ++id)
    if (!spec.vocab[id].empty()) entries.Container::emplace_back(spec.vocab[id], id);
  Json merges = Json::array();
  for (const auto& [left, right] : spec.merges) merges.push_back(Json::array({left, right}));
  Json model = {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", spec.fuse_unknown},
                {"byte_fallback", false},
                {"ignore_merges", spec.ignore_merges}};
  if (spec.unknown) model["unk_token"] = text_of(spec, *spec.unknown);
  model["vocab"] = std::move(entries);
  model["merges"] = std::move(merges);
  return model;
}

}  // namespace

std::string tokenizer_json(const TokenizerSpec& spec) {
  Json root = {{"version", "1.0"},
               {"truncation", nullptr},
               {"padding", nullptr},
               {"added_tokens", added_json(spec)},
               {"normalizer", nullptr},
               {"pre_tokenizer", pre_tokenizer_json(spec)},
               {"post_processor", post_processor_json(spec)},
               {"decoder", byte_level(true, true)}};
  root["model"] = model_json(spec);
  try {
    return root.dump(1) + "\n";
  } catch (const Json::exception&) {
    fail(ErrorCode::kFormat, "a token of the tokenizer is not UTF-8: it cannot be written as JSON");
  }
}

}  // namespace pare
