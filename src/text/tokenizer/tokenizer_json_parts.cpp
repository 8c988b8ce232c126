// Normalizer and decoder of tokenizer.json.
#include <algorithm>

#include "text/tokenizer/space_sign.h"
#include "text/tokenizer/tokenizer_json_reader.h"

namespace pare::tokenizer_json_reader {

std::string literal_pattern(const Json& part) {
  const auto text = json_find<std::string>(member(part, "pattern", Json::value_t::object), "String", kWhat);
  if (!text || text->empty()) unsupported("{} of a pattern other than a fixed text", type_of(part));
  return *text;
}

void read_normalizer(const Json& root, TokenizerSpec& spec) {
  using Kind = NormalizerStep::Kind;
  for (const Json* part : parts_of(find(root, "normalizer"), "normalizers")) {
    const std::string type = type_of(*part);
    if (const auto plain = plain_normalizer(type))
      spec.normalizer.push_back({*plain, "", ""});
    else if (type == "Prepend")
      spec.normalizer.push_back({Kind::kPrepend, "", json_get<std::string>(*part, "prepend", kWhat)});
    else if (type == "Replace")
      spec.normalizer.push_back(
          {Kind::kReplace, literal_pattern(*part), json_get<std::string>(*part, "content", kWhat)});
    else
      unsupported("normalizer \"{}\"", type);
  }
}

std::string metaspace_scheme(const Json& part) {
  const std::optional<std::string> scheme = json_find<std::string>(part, "prepend_scheme", kWhat);
  const std::optional<bool> prefix = json_find<bool>(part, "add_prefix_space", kWhat);
  if (!scheme) return prefix.value_or(true) ? "always" : "never";
  if (prefix && *prefix != (*scheme != "never"))
    unsupported("Metaspace whose add_prefix_space does not match its prepend_scheme \"{}\"", *scheme);
  return *scheme;
}

void read_decoder(const Json& root, TokenizerSpec& spec) {
  const bool byte_level = is_byte_level(spec.pre_tokenizer);
  if (spec.pre_tokenizer == PreTokenizer::kSplitsOfChars && find(root, "decoder") == nullptr)
    unsupported("pre_tokenizer {} without a decoder", type_of(*find(root, "pre_tokenizer")));
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
      spec.strip_leading_space = metaspace_scheme(*part) != "never";
    } else {
      unsupported("decoder \"{}\"", type);
    }
  }
}

}  // namespace pare::tokenizer_json_reader
