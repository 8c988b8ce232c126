// Tokenizers of every kind on their way through GGUF metadata and back.
#include "checkpoint/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "checkpoint/gguf_pre_tokenizers.h"
#include "checkpoint/load.h"
#include "support/expect_error.h"
#include "text/tokenizer/known_splits.h"

namespace pare {
namespace {

using Ids = std::vector<int32_t>;

Tokenizer through_gguf(const Tokenizer& tokenizer) {
  GgufFile file;
  file.name = "x.gguf";
  for (GgufEntry& entry : gguf_tokenizer_entries(tokenizer, tokenizer.vocab_size()))
    file.metadata.add(entry.key, entry.value);
  const auto& prefix = tokenizer.spec().prefix;
  file.metadata.add("tokenizer.ggml.bos_token_id",
                    prefix.empty() ? uint32_t{1} : static_cast<uint32_t>(prefix.front()));
  return tokenizer_from_gguf(file);
}

void expect_same(const Tokenizer& a, const Tokenizer& b) {
  const std::string text = read_file(PARE_GOLDEN_DIR "/text/test.txt", 1 << 20) +
                           "\n\n  <s>\u00e9e\u0301 \u6f22\u5b57\t12345 it's </s>\xff <unk> <0x41>";
  for (const bool special : {false, true})
    EXPECT_EQ(a.encode(text, {special, special}), b.encode(text, {special, special}));
  EXPECT_EQ(a.decode(a.encode(text)), b.decode(b.encode(text)));
}

TEST(GgufTokenizer, KeepsSentencePiece) {
  const Tokenizer original = load_tokenizer(PARE_GOLDEN_DIR "/tokenizer/sentencepiece");
  const Tokenizer again = through_gguf(original);
  expect_same(original, again);
  EXPECT_EQ(again.spec().merges, original.spec().merges);
  EXPECT_EQ(again.spec().prefix, Ids{1});
  EXPECT_TRUE(again.spec().byte_fallback);
  EXPECT_EQ(again.spec().unknown, original.spec().unknown);
}

TEST(GgufTokenizer, KeepsSentencePieceFromTokenizerJson) {
  const Tokenizer original =
      Tokenizer::from_json(read_file(PARE_GOLDEN_DIR "/tokenizer/prepend.tokenizer.json", 1 << 20));
  const Tokenizer again = through_gguf(original);
  expect_same(original, again);
}

TEST(GgufTokenizer, KeepsQwen2) {
  const Tokenizer original =
      Tokenizer::from_json(read_file(PARE_GOLDEN_DIR "/tokenizer/qwen2.tokenizer.json", 1 << 20));
  const Tokenizer again = through_gguf(original);
  EXPECT_EQ(again.spec().pre_tokenizer, PreTokenizer::kQwen2);
  expect_same(original, again);
}

TEST(GgufTokenizer, KeepsTekken) {
  const Tokenizer original =
      Tokenizer::from_json(read_file(PARE_GOLDEN_DIR "/tokenizer/tekken.tokenizer.json", 1 << 20));
  const Tokenizer again = through_gguf(original);
  EXPECT_EQ(again.spec().pre_tokenizer, PreTokenizer::kTekken);
  EXPECT_TRUE(again.spec().ignore_merges);
  expect_same(original, again);
}

// The regex of LLaMA-3 without its rule of whole words has another name.
TEST(GgufTokenizer, NamesSayWhetherMergesAreIgnored) {
  for (const bool ignore : {true, false}) {
    TokenizerSpec spec =
        Tokenizer::from_json(read_file(PARE_GOLDEN_DIR "/tokenizer/llama3.tokenizer.json", 1 << 20)).spec();
    spec.ignore_merges = ignore;
    const Tokenizer original(std::move(spec));
    const Tokenizer again = through_gguf(original);
    EXPECT_EQ(again.spec().ignore_merges, ignore);
    expect_same(original, again);
  }
}

// A file whose byte-level vocabulary is that of LLaMA-3's golden.
GgufFile file_with_pre(const std::string* pre) {
  const Tokenizer original =
      Tokenizer::from_json(read_file(PARE_GOLDEN_DIR "/tokenizer/llama3.tokenizer.json", 1 << 20));
  GgufFile file;
  file.name = "x.gguf";
  for (GgufEntry& entry : gguf_tokenizer_entries(original, original.vocab_size()))
    if (entry.key != "tokenizer.ggml.pre") file.metadata.add(entry.key, entry.value);
  if (pre != nullptr) file.metadata.add("tokenizer.ggml.pre", *pre);
  file.metadata.add("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(original.spec().prefix.at(0)));
  return file;
}

class NamedPreTokenizer : public ::testing::TestWithParam<const char*> {};

// What a name stands for has a name again, that of the same rules.
TEST_P(NamedPreTokenizer, HasRulesAndKeepsThem) {
  const std::string name = GetParam();
  const Tokenizer tokenizer = tokenizer_from_gguf(file_with_pre(&name));
  const Tokenizer again = through_gguf(tokenizer);
  EXPECT_EQ(again.spec().pre_tokenizer, tokenizer.spec().pre_tokenizer);
  EXPECT_EQ(again.spec().splits, tokenizer.spec().splits);
  expect_same(tokenizer, again);
  // And so it has as a tokenizer.json.
  expect_same(tokenizer, Tokenizer::from_json(tokenizer_json(tokenizer.spec())));
}

INSTANTIATE_TEST_SUITE_P(Names, NamedPreTokenizer,
                         ::testing::Values("gpt-2", "smollm", "starcoder", "llama-bpe", "falcon3", "dbrx",
                                           "smaug-bpe", "qwen2", "megrez", "deepseek-r1-qwen", "qwen35",
                                           "tekken", "default", "falcon", "deepseek-llm", "deepseek-coder",
                                           "deepseek-v3", "hunyuan-dense", "spark2_5", "youtu", "bloom",
                                           "viking", "chameleon", "gpt-4o", "tiny_aya", "kimi-k2", "superbpe",
                                           "bailingmoe", "seed-coder", "ufakzeka", "laguna", "exaone-moe",
                                           "minicpm5", "jais-2", "command-r", "olmo"));

// The tokenizer.json of models whose pre-tokenizer llama.cpp writes in other words.
TEST(GgufTokenizer, NamesTheRulesOfPublicFiles) {
  const Json cases =
      parse_json(read_file(PARE_GOLDEN_DIR "/tokenizer/splits.json", 1 << 20), "splits.json").at("cases");
  for (const char* name : {"deepseek-coder", "deepseek-v3", "falcon", "bloom", "gpt-4o", "kimi-k2", "qwen35",
                           "seed-coder", "bailingmoe", "exaone-moe", "superbpe", "tiny_aya"}) {
    const auto it =
        std::find_if(cases.begin(), cases.end(), [&](const Json& entry) { return entry["name"] == name; });
    ASSERT_NE(it, cases.end());
    EXPECT_EQ(gguf_pre_tokenizer_name(tokenizer_spec_from_json((*it)["tokenizer"].dump())), name);
  }
  TokenizerSpec spec;
  use_splits({split_at_regex("[aeiou]+")}, spec);
  EXPECT_PARE_ERROR(gguf_pre_tokenizer_name(spec), ErrorCode::kUnsupported, "llama.cpp has no name");
}

TEST(GgufTokenizer, WarnsOfTheDefaultRules) {
  const std::string named = "default";
  for (const std::string* pre : {static_cast<const std::string*>(nullptr), &named}) {
    std::string warnings;
    set_log_sink([&](LogLevel, std::string_view message) { warnings += message; });
    const Tokenizer tokenizer = tokenizer_from_gguf(file_with_pre(pre));
    set_log_sink({});
    EXPECT_EQ(tokenizer.spec().pre_tokenizer, PreTokenizer::kSplits);
    EXPECT_EQ(tokenizer.spec().splits.size(), 4u);
    EXPECT_NE(warnings.find("x.gguf: tokenizer.ggml.pre"), std::string::npos);
  }
}

TEST(GgufTokenizer, RefusesUnknownNames) {
  const std::string name = "klingon";
  EXPECT_PARE_ERROR(tokenizer_from_gguf(file_with_pre(&name)), ErrorCode::kUnsupported,
                    "x.gguf: pare has no rules for the pre-tokenizer \"klingon\"");
}

TEST(GgufTokenizer, RejectsScoresAndTypesThatDoNotFit) {
  const auto read_with = [](std::vector<float> scores, std::vector<int32_t> types) {
    GgufFile file;
    file.name = "x.gguf";
    file.metadata.add("tokenizer.ggml.model", std::string("llama"));
    file.metadata.add("tokenizer.ggml.tokens", GgufArray{std::vector<std::string>{"a", "b"}});
    file.metadata.add("tokenizer.ggml.scores", GgufArray{std::move(scores)});
    file.metadata.add("tokenizer.ggml.token_type", GgufArray{std::move(types)});
    return tokenizer_from_gguf(file);
  };
  EXPECT_EQ(read_with({0, 0}, {1, 1}).vocab_size(), 2);
  EXPECT_PARE_ERROR(read_with({0}, {1, 1}), ErrorCode::kFormat, "1 token scores for 2 tokens");
  EXPECT_PARE_ERROR(read_with({0, 0}, {1}), ErrorCode::kFormat, "1 token types for 2 tokens");
  EXPECT_PARE_ERROR(read_with({0, 0}, {1, 7}), ErrorCode::kFormat, "token 1 has type 7");
}

}  // namespace
}  // namespace pare
