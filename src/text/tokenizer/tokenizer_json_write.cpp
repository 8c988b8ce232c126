// Writing tokenizer.json as the `tokenizers` library reads it.
#include <algorithm>

#include "base/json.h"
#include "text/tokenizer/space_sign.h"
#include "text/tokenizer/tokenizer.h"
#include "text/tokenizer/tokenizer_json_reader.h"

namespace pare {
namespace {

// ByteLevel as a decoder and as a post-processor, where the flags mean nothing.
Json byte_level() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
}

Json normalizer_json(const TokenizerSpec& spec) {
  Json parts = Json::array();
  for (const NormalizerStep& step : spec.normalizer) {
    if (const std::string_view name = normalizer_name(step.kind); !name.empty())
      parts.push_back({{"type", name}});
    else if (step.kind == NormalizerStep::Kind::kPrepend)
      parts.push_back({{"type", "Prepend"}, {"prepend", step.content}});
    else
      parts.push_back(
          {{"type", "Replace"}, {"pattern", {{"String", step.pattern}}}, {"content", step.content}});
  }
  if (parts.empty()) return nullptr;
  return parts.size() == 1 ? parts[0] : Json{{"type", "Sequence"}, {"normalizers", parts}};
}

Json decoder_json(const TokenizerSpec& spec) {
  if (is_byte_level(spec.pre_tokenizer)) return byte_level();
  Json parts = Json::array({{{"type", "Replace"}, {"pattern", {{"String", kSpaceSign}}}, {"content", " "}}});
  if (spec.byte_fallback) parts.push_back({{"type", "ByteFallback"}});
  parts.push_back({{"type", "Fuse"}});
  if (spec.strip_leading_space)
    parts.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", parts}};
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
  if (spec.prefix.empty() && spec.suffix.empty())
    return is_byte_level(spec.pre_tokenizer) ? byte_level() : Json();
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

// Merges are written as "left right", which `tokenizers` before 0.20 cannot do without, or, where that would
// be read as something else, all as ["left", "right"].
Json merges_json(const TokenizerSpec& spec) {
  const bool pairs = std::any_of(spec.merges.begin(), spec.merges.end(), [](const auto& merge) {
    const auto& [left, right] = merge;
    return left.find(' ') != std::string::npos || right.find(' ') != std::string::npos ||
           left.starts_with("#version");
  });
  Json merges = Json::array();
  for (const auto& [left, right] : spec.merges)
    merges.push_back(pairs ? Json::array({left, right}) : Json(fmt::format("{} {}", left, right)));
  return merges;
}

Json model_json(const TokenizerSpec& spec) {
  // Appended as pairs: operator[] of this object searches it from the front every time.
  Json::object_t entries;
  entries.reserve(spec.vocab.size());
  for (size_t id = 0; id < spec.vocab.size(); ++id)
    if (!spec.vocab[id].empty()) entries.Container::emplace_back(spec.vocab[id], id);
  Json model = {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", spec.fuse_unknown},
                {"byte_fallback", spec.byte_fallback},
                {"ignore_merges", spec.ignore_merges}};
  if (spec.unknown) model["unk_token"] = text_of(spec, *spec.unknown);
  model["vocab"] = std::move(entries);
  model["merges"] = merges_json(spec);
  return model;
}

}  // namespace

std::string tokenizer_json(const TokenizerSpec& spec) {
  Json root = {{"version", "1.0"},
               {"truncation", nullptr},
               {"padding", nullptr},
               {"added_tokens", added_json(spec)},
               {"normalizer", normalizer_json(spec)},
               {"pre_tokenizer", pre_tokenizer_json(spec)},
               {"post_processor", post_processor_json(spec)},
               {"decoder", decoder_json(spec)}};
  root["model"] = model_json(spec);
  try {
    return root.dump(1) + "\n";
  } catch (const Json::exception&) {
    fail(ErrorCode::kFormat, "a token of the tokenizer is not UTF-8: it cannot be written as JSON");
  }
}

}  // namespace pare
