// The pre-tokenizer of tokenizer.json, read and written.
#include <algorithm>
#include <iterator>

#include "text/tokenizer/known_splits.h"
#include "text/tokenizer/space_sign.h"
#include "text/tokenizer/tokenizer_json_reader.h"
#include "text/tokenizer/tokenizer_json_regex.h"

namespace pare {
namespace {

using namespace tokenizer_json_reader;
using Pattern = SplitStep::Pattern;

// Names in the order of SplitBehavior.
constexpr const char* kBehaviors[] = {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext",
                                      "Contiguous"};
// Names in the order of PrefixSpace.
constexpr const char* kSchemes[] = {"never", "first", "always"};

SplitBehavior behavior_of(const Json& part) {
  const std::string name = json_find<std::string>(part, "behavior", kWhat).value_or("Isolated");
  const auto it = std::find(std::begin(kBehaviors), std::end(kBehaviors), name);
  if (it == std::end(kBehaviors)) unsupported("pre_tokenizer {} with behavior \"{}\"", type_of(part), name);
  return static_cast<SplitBehavior>(it - std::begin(kBehaviors));
}

SplitStep split_step(const Json& part) {
  SplitStep step;
  step.behavior = behavior_of(part);
  step.invert = flag(part, "invert");
  const Json& pattern = member(part, "pattern", Json::value_t::object);
  if (const auto regex = json_find<std::string>(pattern, "Regex", kWhat)) {
    step.text = *regex;
  } else {
    step.pattern = Pattern::kText;
    step.text = literal_pattern(part);
  }
  return step;
}

// A part other than ByteLevel and Metaspace.
SplitStep step_of(const Json& part) {
  const std::string type = type_of(part);
  if (type == "Split") return split_step(part);
  SplitStep step;
  step.behavior = SplitBehavior::kRemoved;
  if (type == "Digits") {
    step.pattern = Pattern::kDigits;
    step.behavior = flag(part, "individual_digits") ? SplitBehavior::kIsolated : SplitBehavior::kContiguous;
  } else if (type == "Punctuation") {
    step.pattern = Pattern::kPunctuation;
    step.behavior = behavior_of(part);
  } else if (type == "WhitespaceSplit") {
    step.pattern = Pattern::kSpaces;
  } else if (type == "Whitespace") {
    step.pattern = Pattern::kWords;
    step.invert = true;
  } else if (type == "CharDelimiterSplit") {
    step.pattern = Pattern::kText;
    step.text = json_get<std::string>(part, "delimiter", kWhat);
  } else {
    unsupported("pre_tokenizer \"{}\"{}", type, type == "Metaspace" ? " among others" : "");
  }
  return step;
}

void read_metaspace(const Json& part, TokenizerSpec& spec) {
  if (json_get<std::string>(part, "replacement", kWhat) != kSpaceSign)
    unsupported("pre_tokenizer Metaspace with another replacement than U+2581");
  const std::string scheme = metaspace_scheme(part);
  const auto it = std::find(std::begin(kSchemes), std::end(kSchemes), scheme);
  if (it == std::end(kSchemes)) unsupported("pre_tokenizer Metaspace with prepend_scheme \"{}\"", scheme);
  spec.prefix_space = static_cast<PrefixSpace>(it - std::begin(kSchemes));
  spec.pre_tokenizer = flag(part, "split", true) ? PreTokenizer::kMetaspaceSplit : PreTokenizer::kMetaspace;
}

Json byte_level(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

bool is_gpt2_regex(const SplitStep& step) { return step == split_at_regex(kGpt2Regex); }

Json step_json(const SplitStep& step) {
  const char* behavior = kBehaviors[static_cast<size_t>(step.behavior)];
  switch (step.pattern) {
    case Pattern::kDigits:
      return {{"type", "Digits"}, {"individual_digits", step.behavior == SplitBehavior::kIsolated}};
    case Pattern::kPunctuation:
      return {{"type", "Punctuation"}, {"behavior", behavior}};
    case Pattern::kSpaces:
      return {{"type", "WhitespaceSplit"}};
    case Pattern::kWords:
      return {{"type", "Whitespace"}};
    default:
      return {{"type", "Split"},
              {"pattern", {{step.pattern == Pattern::kRegex ? "Regex" : "String", step.text}}},
              {"behavior", behavior},
              {"invert", step.invert}};
  }
}

Json splits_json(const TokenizerSpec& spec) {
  const std::vector<SplitStep> steps = splits_of(spec);
  const auto bytes =
      std::find_if(steps.begin(), steps.end(), [](const SplitStep& step) { return step.of_bytes; });
  Json parts = Json::array();
  for (auto it = steps.begin(); it != bytes; ++it) parts.push_back(step_json(*it));
  if (is_byte_level(spec.pre_tokenizer)) {
    // The regex of ByteLevel itself, before which no step stands where a space is put before the text.
    const bool use_regex = bytes != steps.begin() && is_gpt2_regex(*(bytes - 1));
    if (use_regex) parts.erase(parts.size() - 1);
    parts.push_back(byte_level(spec.prefix_space == PrefixSpace::kAlways, use_regex));
  }
  for (auto it = bytes; it != steps.end(); ++it) parts.push_back(step_json(*it));
  return parts.size() == 1 ? parts[0] : Json{{"type", "Sequence"}, {"pretokenizers", parts}};
}

}  // namespace

void tokenizer_json_reader::read_pre_tokenizer(const Json& root, TokenizerSpec& spec) {
  const std::vector<const Json*> parts = parts_of(find(root, "pre_tokenizer"), "pretokenizers");
  if (parts.empty()) {
    spec.pre_tokenizer = PreTokenizer::kWhole;
    return;
  }
  if (parts.size() == 1 && type_of(*parts[0]) == "Metaspace") return read_metaspace(*parts[0], spec);
  bool byte_level = false;
  for (const Json* part : parts) {
    if (type_of(*part) != "ByteLevel") {
      spec.splits.push_back(step_of(*part));
      spec.splits.back().of_bytes = byte_level;
      continue;
    }
    if (byte_level) unsupported("pre_tokenizer ByteLevel twice");
    byte_level = true;
    if (flag(*part, "add_prefix_space")) {
      if (part != parts.front())
        unsupported("pre_tokenizer {} before add_prefix_space", type_of(*parts.front()));
      spec.prefix_space = PrefixSpace::kAlways;
    }
    if (flag(*part, "use_regex", true)) spec.splits.push_back(split_at_regex(kGpt2Regex));
  }
  if (byte_level)
    use_splits(std::move(spec.splits), spec);
  else
    spec.pre_tokenizer = PreTokenizer::kSplitsOfChars;
}

Json pre_tokenizer_json(const TokenizerSpec& spec) {
  if (spec.pre_tokenizer == PreTokenizer::kWhole) return nullptr;
  if (is_metaspace(spec.pre_tokenizer))
    return {{"type", "Metaspace"},
            {"replacement", kSpaceSign},
            {"prepend_scheme", kSchemes[static_cast<size_t>(spec.prefix_space)]},
            {"split", spec.pre_tokenizer == PreTokenizer::kMetaspaceSplit}};
  return splits_json(spec);
}

}  // namespace pare
