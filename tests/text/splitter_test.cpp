// Cutting text by steps, against what the `tokenizers` library does (tools/goldens/make_split_goldens.py).
#include "text/tokenizer/splitter.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/mapped_file.h"
#include "support/expect_error.h"
#include "text/tokenizer/known_splits.h"

namespace pare {
namespace {

Json golden() {
  return parse_json(read_file(PARE_GOLDEN_DIR "/tokenizer/splits.json", 1 << 20), "splits.json");
}

std::vector<size_t> word_bytes(const TokenizerSpec& spec, std::string text) {
  if (spec.prefix_space == PrefixSpace::kAlways && !text.empty() && text.front() != ' ')
    text.insert(0, 1, ' ');
  std::vector<size_t> bytes;
  for (const std::string_view word : Splitter(splits_of(spec)).split(text)) bytes.push_back(word.size());
  return bytes;
}

std::vector<std::string> words(const std::string& regex, std::string_view text,
                               SplitBehavior behavior = SplitBehavior::kIsolated) {
  SplitStep step = split_at_regex(regex);
  step.behavior = behavior;
  const Splitter splitter({step});
  std::vector<std::string> result;
  for (const std::string_view word : splitter.split(text)) result.emplace_back(word);
  return result;
}

using Words = std::vector<std::string>;

TEST(Splitter, CutsAsTheLibraryDoes) {
  const Json data = golden();
  ASSERT_GT(data["cases"].size(), 50u);
  for (const Json& entry : data["cases"]) {
    const TokenizerSpec spec = tokenizer_spec_from_json(entry["tokenizer"].dump());
    for (size_t i = 0; i < data["texts"].size(); ++i)
      EXPECT_EQ(word_bytes(spec, data["texts"][i]), entry["words"][i].get<std::vector<size_t>>())
          << entry["name"] << ", text " << i;
  }
}

TEST(Splitter, StepsSurviveTokenizerJson) {
  const Json data = golden();
  for (const Json& entry : data["cases"]) {
    const TokenizerSpec spec = tokenizer_spec_from_json(entry["tokenizer"].dump());
    const TokenizerSpec again = tokenizer_spec_from_json(tokenizer_json(spec));
    EXPECT_EQ(again.pre_tokenizer, spec.pre_tokenizer) << entry["name"];
    EXPECT_EQ(again.splits, spec.splits) << entry["name"];
    EXPECT_EQ(again.prefix_space, spec.prefix_space) << entry["name"];
  }
}

// The kinds with a scanner of their own mean what their regexes mean.
TEST(Splitter, AgreesWithTheScanners) {
  const Json data = golden();
  for (const PreTokenizer kind : {PreTokenizer::kGpt2, PreTokenizer::kSmolLM, PreTokenizer::kLlama3,
                                  PreTokenizer::kQwen2, PreTokenizer::kTekken}) {
    TokenizerSpec spec;
    spec.pre_tokenizer = kind;
    for (const Json& text : data["texts"]) {
      std::vector<size_t> scanned;
      for_each_word(kind, text.get<std::string>(),
                    [&](std::string_view word) { scanned.push_back(word.size()); });
      EXPECT_EQ(word_bytes(spec, text), scanned) << text;
    }
  }
}

TEST(Splitter, BytesThatAreNoCharacterCountAsOne) {
  EXPECT_EQ(words(R"(\p{L}+)",
                  "ab\xff"
                  "cd\xe2\x82"),
            (Words{"ab", "\xff", "cd", "\xe2\x82"}));
  EXPECT_EQ(words(R"([^\s\p{L}])", "a\xff\xfe b"), (Words{"a", "\xff", "\xfe", " b"}));
  EXPECT_EQ(words(R"(.)", std::string("\0\n\x80", 3)), (Words{std::string(1, '\0'), "\n", "\x80"}));
}

TEST(Splitter, DropsWhatIsRemoved) {
  EXPECT_EQ(words(" ", " a  b ", SplitBehavior::kRemoved), (Words{"a", "b"}));
  EXPECT_EQ(words("x", "xxx", SplitBehavior::kRemoved), Words{});
}

TEST(Splitter, BoundsTheSteps) {
  EXPECT_PARE_ERROR(Splitter(std::vector<SplitStep>(33, split_at_regex("a"))), ErrorCode::kUnsupported,
                    "33 steps");
}

}  // namespace
}  // namespace pare
