// tokenizer.json as written is read back as the same tokenizer.
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/mapped_file.h"
#include "support/expect_error.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {
namespace {

std::string golden(const std::string& name) {
  return read_file(std::string(PARE_GOLDEN_DIR) + "/tokenizer/" + name, 1 << 20);
}

class TokenizerJsonWrite : public ::testing::TestWithParam<const char*> {};

TEST_P(TokenizerJsonWrite, GivesTheIdsOfTheLibrary) {
  const std::string kind = GetParam();
  const auto original = Tokenizer::from_json(golden(kind + ".tokenizer.json"));
  const auto again = Tokenizer::from_json(tokenizer_json(original.spec()));
  const TokenizerSpec& a = original.spec();
  const TokenizerSpec& b = again.spec();
  EXPECT_EQ(a.vocab, b.vocab);
  EXPECT_EQ(a.merges, b.merges);
  EXPECT_EQ(a.pre_tokenizer, b.pre_tokenizer);
  EXPECT_EQ(a.added.size(), b.added.size());
  EXPECT_EQ(a.ignore_merges, b.ignore_merges);
  EXPECT_EQ(a.prefix_space, b.prefix_space);
  EXPECT_EQ(a.normalizer, b.normalizer);
  EXPECT_EQ(a.byte_fallback, b.byte_fallback);
  EXPECT_EQ(a.strip_leading_space, b.strip_leading_space);
  EXPECT_EQ(a.unknown, b.unknown);
  EXPECT_EQ(a.fuse_unknown, b.fuse_unknown);
  EXPECT_EQ(a.prefix, b.prefix);
  EXPECT_EQ(a.suffix, b.suffix);
  const Json cases = parse_json(golden(kind + ".cases.json"), kind);
  for (const Json& item : cases.at("cases")) {
    const std::string text = item.at("text");
    EXPECT_EQ(again.encode(text), item.at("ids").get<std::vector<int32_t>>()) << text;
    EXPECT_EQ(again.encode(text, {.add_special_tokens = true}),
              original.encode(text, {.add_special_tokens = true}));
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerJsonWrite,
                         ::testing::Values("gpt2", "smollm", "llama3", "prefix_space", "qwen2", "tekken",
                                           "prepend", "metaspace", "metaspace_split"));

TEST(TokenizerJsonWrite, TemplateOnBothSides) {
  TokenizerSpec spec;
  spec.vocab = {"a", "b", "<s>"};
  spec.added = {{.text = "</s>", .id = 3, .special = true}, {.text = "<s>", .id = 2, .special = true}};
  spec.prefix = {2, 0};
  spec.suffix = {3};
  const auto again = Tokenizer::from_json(tokenizer_json(spec));
  EXPECT_EQ(again.encode("b", {.add_special_tokens = true}), (std::vector<int32_t>{2, 0, 1, 3}));
}

TEST(TokenizerJsonWrite, EveryNormalizerAndScheme) {
  using Kind = NormalizerStep::Kind;
  TokenizerSpec spec;
  spec.vocab = {"a"};
  for (const PreTokenizer kind :
       {PreTokenizer::kWhole, PreTokenizer::kMetaspace, PreTokenizer::kMetaspaceSplit})
    for (const PrefixSpace when : {PrefixSpace::kNever, PrefixSpace::kFirst, PrefixSpace::kAlways}) {
      spec.pre_tokenizer = kind;
      spec.prefix_space = kind == PreTokenizer::kWhole ? PrefixSpace::kNever : when;
      spec.normalizer = {{Kind::kNfkd, "", ""},
                         {Kind::kStripAccents, "", ""},
                         {Kind::kLowercase, "", ""},
                         {Kind::kPrepend, "", "x"},
                         {Kind::kReplace, "y", "z"}};
      spec.normalizer.resize(2 * static_cast<size_t>(when) + (when == PrefixSpace::kNever ? 0 : 1));
      const TokenizerSpec again = tokenizer_spec_from_json(tokenizer_json(spec));
      EXPECT_EQ(again.pre_tokenizer, spec.pre_tokenizer);
      EXPECT_EQ(again.prefix_space, spec.prefix_space);
      EXPECT_EQ(again.normalizer, spec.normalizer);
    }
}

TEST(TokenizerJsonWrite, MergesAreStringsWhereThatIsClear) {
  TokenizerSpec spec;
  spec.vocab = {"a", "b", "ab", " ", "a ", "#version", "#versiona"};
  const auto written = [&](std::vector<std::pair<std::string, std::string>> merges) {
    spec.merges = std::move(merges);
    const std::string json = tokenizer_json(spec);
    EXPECT_EQ(tokenizer_spec_from_json(json).merges, spec.merges);
    return parse_json(json, "merges").at("model").at("merges");
  };
  EXPECT_EQ(written({{"a", "b"}}), Json({"a b"}));
  EXPECT_EQ(written({{"a", "b"}, {"a", " "}}), Json::parse(R"([["a", "b"], ["a", " "]])"));
  EXPECT_EQ(written({{"#version", "a"}}), Json::parse(R"([["#version", "a"]])"));
}

TEST(TokenizerJsonWrite, TokensMustBeText) {
  TokenizerSpec spec;
  spec.vocab = {"a", "\xff"};
  EXPECT_PARE_ERROR(tokenizer_json(spec), ErrorCode::kFormat, "UTF-8");
}

}  // namespace
}  // namespace pare
