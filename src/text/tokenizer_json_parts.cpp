// Normalizer, pre-tokenizer and decoder of tokenizer.json.
#include <algorithm>

#include "text/space_sign.h"
#include "text/tokenizer_json_reader.h"
#include "text/tokenizer_json_regex.h"

namespace pare::tokenizer_json_reader {
namespace {

// The text of a pattern that is not a regex.
std::string literal_pattern(const Json& part) {
  const auto text = json_find<std::string>(member(part, "pattern", Json::value_t::object), "String", kWhat);
  if (!text || text->empty()) unsupported("{} of a pattern other than a fixed text", type_of(part));
  return *text;
}

// The regex of an isolating Split.
std::string split_regex(const Json& split) {
  const std::string behavior = json_get<std::string>(split, "behavior", kWhat);
  if (behavior != "Isolated" || flag(split, "invert"))
    unsupported("pre_tokenizer Split with behavior \"{}\"{}", behavior,
                flag(split, "invert") ? ", inverted" : "");
  const auto regex = json_find<std::string>(member(split, "pattern", Json::value_t::object), "Regex", kWhat);
  if (!regex) unsupported("pre_tokenizer Split by a fixed string");
  return *regex;
}

PreTokenizer pre_tokenizer_of_regex(const std::string& regex) {
  if (regex == kGpt2Regex) return PreTokenizer::kGpt2;
  if (regex == kLlama3Regex) return PreTokenizer::kLlama3;
  if (regex == kQwen2Regex) return PreTokenizer::kQwen2;
  if (regex == kTekkenRegex) return PreTokenizer::kTekken;
  unsupported("pre_tokenizer Split with the regex {}", regex.substr(0, 300));
}

void read_metaspace(const Json& part, TokenizerSpec& spec) {
  if (json_get<std::string>(part, "replacement", kWhat) != kSpaceSign)
    unsupported("pre_tokenizer Metaspace with another replacement than U+2581");
  const std::string scheme = json_find<std::string>(part, "prepend_scheme", kWhat).value_or("always");
  if (scheme == "always")
    spec.prefix_space = PrefixSpace::kAlways;
  else if (scheme == "first")
    spec.prefix_space = PrefixSpace::kFirst;
  else if (scheme != "never")
    unsupported("pre_tokenizer Metaspace with prepend_scheme \"{}\"", scheme);
  spec.pre_tokenizer = flag(part, "split", true) ? PreTokenizer::kMetaspaceSplit : PreTokenizer::kMetaspace;
}

// A sequence that ends in ByteLevel.
void read_byte_level(const std::vector<const Json*>& parts, TokenizerSpec& spec) {
  const Json& last = *parts.back();
  const bool prefix_space = flag(last, "add_prefix_space");
  const bool use_regex = flag(last, "use_regex", true);
  const std::string first = parts.size() == 2 ? type_of(*parts[0]) : "";
  if (prefix_space) spec.prefix_space = PrefixSpace::kAlways;
  if (parts.size() == 1 && use_regex) {
    spec.pre_tokenizer = PreTokenizer::kGpt2;
  } else if (first == "Digits" && use_regex) {
    if (!flag(*parts[0], "individual_digits")) unsupported("pre_tokenizer Digits without individual_digits");
    spec.pre_tokenizer = PreTokenizer::kSmolLM;
  } else if (first == "Split" && !use_regex) {
    spec.pre_tokenizer = pre_tokenizer_of_regex(split_regex(*parts[0]));
    if (prefix_space) unsupported("pre_tokenizer Split before add_prefix_space");
  } else {
    std::string names;
    for (const Json* part : parts) names += (names.empty() ? "" : ", ") + type_of(*part);
    unsupported("pre_tokenizer sequence [{}]{}", names, use_regex ? "" : " with use_regex false");
  }
}

}  // namespace

void read_normalizer(const Json& root, TokenizerSpec& spec) {
  using Kind = NormalizerStep::Kind;
  for (const Json* part : parts_of(find(root, "normalizer"), "normalizers")) {
    const std::string type = type_of(*part);
    if (type == "NFC")
      spec.normalizer.push_back({Kind::kNfc, "", ""});
    else if (type == "Prepend")
      spec.normalizer.push_back({Kind::kPrepend, "", json_get<std::string>(*part, "prepend", kWhat)});
    else if (type == "Replace")
      spec.normalizer.push_back(
          {Kind::kReplace, literal_pattern(*part), json_get<std::string>(*part, "content", kWhat)});
    else
      unsupported("normalizer \"{}\"", type);
  }
}

void read_pre_tokenizer(const Json& root, TokenizerSpec& spec) {
  const std::vector<const Json*> parts = parts_of(find(root, "pre_tokenizer"), "pretokenizers");
  if (parts.empty()) {
    spec.pre_tokenizer = PreTokenizer::kWhole;
    return;
  }
  if (parts.size() == 1 && type_of(*parts[0]) == "Metaspace") return read_metaspace(*parts[0], spec);
  for (const Json* part : parts) {
    const std::string type = type_of(*part);
    if (type != "ByteLevel" && type != "Digits" && type != "Split") unsupported("pre_tokenizer \"{}\"", type);
  }
  if (type_of(*parts.back()) != "ByteLevel") unsupported("pre_tokenizer that does not end in ByteLevel");
  read_byte_level(parts, spec);
}

void read_decoder(const Json& root, TokenizerSpec& spec) {
  const bool byte_level = is_byte_level(spec.pre_tokenizer);
  for (const Json* part : parts_of(find(root, "decoder"), "decoders")) {
    const std::string type = type_of(*part);
    const auto is_text = [&](const char* key, std::string_view text) {
      return json_get<std::string>(*part, key, kWhat) == text;
    };
    if (type == "ByteLevel" && !byte_level) unsupported("decoder ByteLevel without such a pre_tokenizer");
    if (type == "ByteLevel" || (!byte_level && (type == "ByteFallback" || type == "Fuse"))) continue;
    if (!byte_level && type == "Replace" && literal_pattern(*part) == kSpaceSign && is_text("content", " "))
      continue;
    if (!byte_level && type == "Strip" && is_text("content", " ") &&
        json_get<int64_t>(*part, "stop", kWhat) == 0 && json_get<int64_t>(*part, "start", kWhat) <= 1) {
      spec.strip_leading_space = json_get<int64_t>(*part, "start", kWhat) == 1;
    } else if (!byte_level && type == "Metaspace" && is_text("replacement", kSpaceSign)) {
      spec.strip_leading_space =
          json_find<std::string>(*part, "prepend_scheme", kWhat).value_or("always") != "never";
    } else {
      unsupported("decoder \"{}\"", type);
    }
  }
}

}  // namespace pare::tokenizer_json_reader
