#include "checkpoint/gguf_pre_tokenizers.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/error.h"
#include "text/tokenizer/known_splits.h"
#include "text/tokenizer/regex_syntax.h"
#include "text/tokenizer/tokenizer_json_regex.h"

namespace pare {
namespace {

// Rules of a name: regexes that apply one after another, each to the text that the one before it left.
enum class Rules {
  kGpt2,
  kDigitsThenGpt2,
  kLlama3,
  kQwen2,
  kTekken,
  kDefault,
  kFalcon,
  kDeepseekLlm,
  kDeepseekCoder,
  kDeepseekV3,
  kSpark,
  kYoutu,
  kBloom,
  kViking,
  kChameleon,
  kGpt4o,
  kTinyAya,
  kKimi,
  kSuperBpe,
  kBailing,
  kSeedCoder,
  kWithoutContractions,
  kLaguna,
  kExaoneMoe,
  kMiniCpm,
  kJais2,
  kQwen35
};

struct Name {
  std::string_view gguf;
  Rules rules;
  bool ignore_merges = false;
  bool adds_bos = false;
  bool nfc = false;  // as the models' own tokenizers have it; llama.cpp does without
};
// The first name with a tokenizer's rules, merges and normal form is the one written; where none has all
// three, the first with its rules and merges, else with its rules.
constexpr Name kNames[] = {
    {"gpt-2", Rules::kGpt2},
    {"smollm", Rules::kDigitsThenGpt2},
    {"llama-bpe", Rules::kLlama3, true, true},
    {"llama3", Rules::kLlama3, true, true},
    {"llama-v3", Rules::kLlama3, true, true},
    {"falcon3", Rules::kLlama3, true, true},
    {"falcon-h1", Rules::kLlama3, true, true},
    {"pixtral", Rules::kLlama3, true, true},
    {"midm-2.0", Rules::kLlama3, true, true},
    {"lfm2", Rules::kLlama3, true, true},
    {"jina-v5-nano", Rules::kLlama3, true, true},
    {"dbrx", Rules::kLlama3},
    {"smaug-bpe", Rules::kLlama3},
    {"chatglm-bpe", Rules::kLlama3},
    {"glm4", Rules::kLlama3},
    {"qwen2", Rules::kQwen2, false, false, true},
    {"deepseek-r1-qwen", Rules::kQwen2},
    {"kormo", Rules::kQwen2},
    {"f2llmv2", Rules::kQwen2},
    {"megrez", Rules::kQwen2},
    {"stablelm2", Rules::kQwen2},
    {"hunyuan", Rules::kQwen2},
    {"solar-open", Rules::kQwen2},
    {"grok-2", Rules::kQwen2},
    {"qwen35", Rules::kQwen35, false, false, true},
    {"tekken", Rules::kTekken, true, true},
    {kDefaultPreTokenizer, Rules::kDefault},
    {"falcon", Rules::kFalcon},
    {"deepseek-llm", Rules::kDeepseekLlm},
    {"deepseek-coder", Rules::kDeepseekCoder},
    {"deepseek-v3", Rules::kDeepseekV3},
    {"hunyuan-dense", Rules::kDeepseekV3},
    {"joyai-llm", Rules::kDeepseekV3},
    {"hy_v4", Rules::kDeepseekV3},
    {"spark2_5", Rules::kSpark},
    {"youtu", Rules::kYoutu, true},
    {"mpt", Rules::kGpt2},
    {"phi-2", Rules::kGpt2},
    {"olmo", Rules::kGpt2},
    {"jais", Rules::kGpt2},
    {"trillion", Rules::kGpt2},
    {"granite-docling", Rules::kGpt2},
    {"exaone4", Rules::kGpt2},
    {"a.x-4.0", Rules::kGpt2},
    {"gigachat", Rules::kGpt2},
    {"mellum", Rules::kGpt2},
    {"modern-bert", Rules::kGpt2},
    {"jina-es", Rules::kGpt2},
    {"jina-de", Rules::kGpt2},
    {"jina-v2-es", Rules::kGpt2},
    {"jina-v2-de", Rules::kGpt2},
    {"starcoder", Rules::kDigitsThenGpt2},
    {"refact", Rules::kDigitsThenGpt2},
    {"command-r", Rules::kDigitsThenGpt2},
    {"codeshell", Rules::kDigitsThenGpt2},
    {"exaone", Rules::kDigitsThenGpt2},
    {"minerva-7b", Rules::kDigitsThenGpt2},
    {"mellum2", Rules::kDigitsThenGpt2},
    {"bloom", Rules::kBloom},
    {"poro-chat", Rules::kBloom},
    {"gpt3-finnish", Rules::kBloom},
    {"viking", Rules::kViking},
    {"chameleon", Rules::kChameleon, false, true},
    {"gpt-4o", Rules::kGpt4o},
    {"llama4", Rules::kGpt4o},
    {"kanana2", Rules::kGpt4o},
    {"talkie", Rules::kGpt4o},
    {"minimax-m2", Rules::kGpt4o},
    {"tiny_aya", Rules::kTinyAya},
    {"cohere2moe", Rules::kTinyAya},
    {"kimi-k2", Rules::kKimi},
    {"superbpe", Rules::kSuperBpe},
    {"bailingmoe", Rules::kBailing},
    {"bailingmoe2", Rules::kBailing},
    {"llada-moe", Rules::kBailing},
    {"seed-coder", Rules::kSeedCoder},
    {"ufakzeka", Rules::kWithoutContractions},
    {"laguna", Rules::kLaguna},
    {"exaone-moe", Rules::kExaoneMoe},
    {"minicpm5", Rules::kMiniCpm, true},
    {"jais-2", Rules::kJais2},
};

// Matches letters of scripts with upper and lower case.
constexpr const char* kCasedLetters =
    R"(A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293})"
    R"(\x{295}-\x{2af}\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-\x{38a})"
    R"(\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481}\x{48a}-\x{52f}\x{531}-\x{556})"
    R"(\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf})"
    R"(\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d})"
    R"(\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d})"
    R"(\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4})"
    R"(\x{1fc6}-\x{1fcc}\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4})"
    R"(\x{1ff6}-\x{1ffc}\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124})"
    R"(\x{2126}\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139}\x{213c}-\x{213f})"
    R"(\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4})"
    R"(\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}\x{a722}-\x{a76f})"
    R"(\x{a771}-\x{a787}\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17})"
    R"(\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{10400}-\x{1044f}\x{104b0}-\x{104d3})"
    R"(\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2}\x{118a0}-\x{118df})"
    R"(\x{1e900}-\x{1e943})";
constexpr const char* kContractions = R"((?i:'s|'t|'re|'ve|'m|'ll|'d))";
constexpr const char* kSpaceEnd = R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kPunctuated =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+)";
constexpr const char* kChinese = R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)";
constexpr const char* kChineseJapanese = R"([\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+)";
constexpr const char* kUntilPunctuation =
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{ff0c}\x{3001}\x{964}\x{6d4}\x{60c})]+)";
constexpr const char* kThreeDigits = "[0-9][0-9][0-9]";

// Regex of words that end where the case changes, each with a contraction behind it. `letters`: what U and W
// are restricted to.
std::string cased_words(const std::string& letters) {
  const std::string upper = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M})" + letters + "]";
  const std::string lower = R"([\p{Ll}\p{Lm}\p{Lo}\p{M})" + letters + "]";
  return fmt::format(R"([^\r\n\p{{L}}\p{{N}}]?{0}*{1}+{2}?|[^\r\n\p{{L}}\p{{N}}]?{0}+{1}*{2}?)", upper, lower,
                     kContractions);
}

// Regexes of LLaMA-3 and its kin with other numbers, punctuation or ends.
std::string llama3_like(std::string_view numbers, std::string_view symbols,
                        std::string_view end = kSpaceEnd) {
  return fmt::format(R"({}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{}|{}{})", kContractions, numbers, symbols, end);
}

std::vector<std::string> regexes_of(Rules rules) {
  const std::string symbols = R"( ?[^\s\p{L}\p{N}]+[\r\n]*)";
  const std::string gpt4o = cased_words("") + R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" + kSpaceEnd;
  switch (rules) {
    case Rules::kGpt2:
      return {kGpt2Regex};
    case Rules::kDigitsThenGpt2:
      return {R"(\p{N})", kGpt2Regex};
    case Rules::kLlama3:
      return {kLlama3Regex};
    case Rules::kQwen2:
      return {kQwen2Regex};
    case Rules::kTekken:
      return {kTekkenRegex};
    case Rules::kDefault:
      return {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Regex, R"(\p{N}+)", kThreeDigits};
    case Rules::kFalcon:
      return {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Regex, kThreeDigits};
    case Rules::kDeepseekLlm:
      return {R"([\r\n])",
              fmt::format(R"(\s?[{}]+)", kCasedLetters),
              R"(\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+)",
              R"(\s+$)",
              kChinese,
              R"(\p{N}+)"};
    case Rules::kDeepseekCoder:
      return {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kChinese, R"(\p{N})"};
    case Rules::kDeepseekV3:
      return {R"(\p{N}{1,3})", kChineseJapanese, fmt::format(R"({}[\r\n]*{})", kPunctuated, kSpaceEnd)};
    case Rules::kSpark:
      return {R"(\p{N}{1,3})", kChineseJapanese, fmt::format(R"({}|[\r\n]|\s+(?!\S)|\s+)", kPunctuated),
              R"(\p{N})"};
    case Rules::kYoutu:
      return {
          R"([\x{ac00}-\x{d7a3}\x{3131}-\x{318e}]+|[\x{ff01}\x{2026}\x{201c}\x{201d}\x{2018}\x{2019}\x{2014}\x{ff1a}\x{ff1b}\x{ff0c}\x{3001}-\x{303f}\x{fe30}-\x{fe4f}]+|[\x{3105}-\x{312f}]+|)" +
              std::string(kChineseJapanese),
          cased_words("") + R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" + kSpaceEnd};
    case Rules::kBloom:
      return {kUntilPunctuation};
    case Rules::kViking:
      return {kUntilPunctuation, R"(\p{N})"};
    case Rules::kChameleon:
      return {"<sentinel:[0-9]+>",       "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
              R"(([\t\n]|    |  ))",     R"(\p{N})",
              R"([\p{P}!-/:-@\[-`{-~])", kGpt2Regex};
    case Rules::kGpt4o:
      return {gpt4o};
    case Rules::kTinyAya:
      return {R"(\d{1,3}(?=(?:\d{3})*\b))", gpt4o};
    case Rules::kKimi:
      return {R"([\p{Han}]+|)" + cased_words(R"(&&[^\p{Han}])") + R"(|\p{N}{1,3}|)" + symbols + kSpaceEnd};
    case Rules::kSuperBpe:
      return {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"};
    case Rules::kBailing:
      return {
          R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"};
    case Rules::kSeedCoder:
      return {llama3_like(R"(\p{N}{1})", R"( ?[^\s\p{L}\p{N}\r\n]+)")};
    case Rules::kWithoutContractions:
      return {R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)" + symbols + kSpaceEnd};
    case Rules::kLaguna:
      return {R"([^\n]+|[\n]+)", kQwen2Regex};
    case Rules::kExaoneMoe:
      return {
          std::string(kContractions) +
          R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)"};
    case Rules::kMiniCpm:
      return {R"(\p{N}{1,3})", llama3_like(R"(\p{N}+)", symbols)};
    case Rules::kJais2:
      return {llama3_like(
          R"(\p{N}{1,3})", symbols,
          R"(|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})")};
    case Rules::kQwen35:
      return {std::string(kContractions) +
              R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)" + kSpaceEnd};
  }
  PARE_CHECK(false);
}

SplitStep single_digits() {
  SplitStep step;
  step.pattern = SplitStep::Pattern::kDigits;
  return step;
}

std::vector<SplitStep> steps_of(Rules rules) {
  std::vector<SplitStep> steps;
  for (std::string& regex : regexes_of(rules)) steps.push_back(split_at_regex(std::move(regex)));
  if (rules == Rules::kDigitsThenGpt2) steps[0] = single_digits();
  return steps;
}

// Returns a tokenizer's step as llama.cpp knows it: numbers by class, the punctuation of Falcon by its own.
SplitStep as_regex(const SplitStep& step, Rules rules) {
  // DeepSeek's vocabulary has no token of several digits: a run of them gives the same ids as single ones.
  if (step == single_digits()) return split_at_regex(rules == Rules::kDeepseekLlm ? R"(\p{N}+)" : R"(\p{N})");
  if (rules == Rules::kFalcon && step.pattern == SplitStep::Pattern::kPunctuation &&
      step.behavior == SplitBehavior::kContiguous)
    return split_at_regex(regexes_of(rules).front());
  return step;
}

// Returns whether two steps are regexes that mean the same, however their characters are written.
bool same_step(const SplitStep& a, const SplitStep& b) {
  constexpr auto kRegex = SplitStep::Pattern::kRegex;
  if (a == b) return true;
  if (a.pattern != kRegex || b.pattern != kRegex || a.behavior != b.behavior || a.invert != b.invert ||
      a.of_bytes != b.of_bytes)
    return false;
  return parse_regex(a.text) == parse_regex(b.text);
}

bool follows(std::vector<SplitStep> steps, Rules rules) {
  std::vector<SplitStep> expected = steps_of(rules);
  for (SplitStep& step : expected) step = as_regex(step, rules);
  for (SplitStep& step : steps) step = as_regex(step, rules);
  // Falcon's own file cuts numbers once more, and both after the text became bytes, which its digits survive.
  if (rules == Rules::kFalcon && steps.size() == 4 && steps[2].pattern == SplitStep::Pattern::kDigits) {
    steps.erase(steps.begin() + 2);
    steps.back().of_bytes = false;
  }
  return std::equal(steps.begin(), steps.end(), expected.begin(), expected.end(), same_step);
}

}  // namespace

GgufPreTokenizer apply_gguf_pre_tokenizer(std::string_view name, std::string_view what, TokenizerSpec& spec) {
  const auto* entry = std::find_if(std::begin(kNames), std::end(kNames),
                                   [&](const Name& known) { return known.gguf == name; });
  if (entry == std::end(kNames))
    fail(ErrorCode::kUnsupported, "{}: pare has no rules for the pre-tokenizer \"{}\" (tokenizer.ggml.pre)",
         what, name);
  use_splits(steps_of(entry->rules), spec);
  spec.ignore_merges = entry->ignore_merges;
  if (entry->nfc) spec.normalizer.push_back({NormalizerStep::Kind::kNfc, "", ""});
  return {entry->adds_bos};
}

std::string gguf_pre_tokenizer_name(const TokenizerSpec& spec) {
  const std::vector<SplitStep> steps = splits_of(spec);
  const bool nfc = std::any_of(spec.normalizer.begin(), spec.normalizer.end(),
                               [](const NormalizerStep& s) { return s.kind == NormalizerStep::Kind::kNfc; });
  const Name* found = nullptr;
  std::optional<Rules> tried;
  for (const Name& entry : kNames) {
    if (found == nullptr ? tried == entry.rules || !follows(steps, entry.rules)
                         : entry.rules != found->rules) {
      tried = entry.rules;
      continue;
    }
    const bool merges_alike = entry.ignore_merges == spec.ignore_merges;
    if (merges_alike && entry.nfc == nfc) return std::string(entry.gguf);
    if (found == nullptr || (merges_alike && found->ignore_merges != spec.ignore_merges)) found = &entry;
  }
  if (found == nullptr)
    fail(ErrorCode::kUnsupported,
         "llama.cpp has no name for this tokenizer's pre-tokenizer, so no GGUF file can hold it: it would "
         "cut text in other "
         "places than the model was trained with; write a Hugging Face folder instead");
  return std::string(found->gguf);
}

}  // namespace pare
