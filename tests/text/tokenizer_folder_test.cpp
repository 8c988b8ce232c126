#include "text/tokenizer/tokenizer_folder.h"

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace pare {
namespace {

using test::TempDir;
using Ids = std::vector<int32_t>;
constexpr EncodeOptions kTemplate = {.add_special_tokens = true};

std::string golden(const std::string& name) {
  return read_file(std::string(PARE_GOLDEN_DIR "/tokenizer/") + name, 1 << 20);
}

// vocab.json and merges.txt.
struct OldFolder {
  OldFolder() {
    dir.file("vocab.json", R"({"a": 0, "b": 1, "ab": 2, "1": 3, "</s>": 4, "\u0120": 5})");
    dir.file("merges.txt", "#version: 0.2\r\na b\r\n\n");
  }
  Tokenizer load() const { return tokenizer_from_folder(dir.path()); }
  TempDir dir;
};

TEST(TokenizerFolder, VocabAndMerges) {
  const OldFolder folder;
  EXPECT_EQ(folder.load().encode("ab1"), (Ids{2, 3}));
  EXPECT_EQ(folder.load().spec().pre_tokenizer, PreTokenizer::kGpt2);
  EXPECT_EQ(folder.load().encode("a", kTemplate), (Ids{0}));
}

TEST(TokenizerFolder, TokensOfTheOldCompanions) {
  const OldFolder folder;
  folder.dir.file("added_tokens.json", R"({"  ": 7, "<pad>": 6})");
  folder.dir.file("special_tokens_map.json", R"({"eos_token": {"content": "</s>"}, "pad_token": "<pad>",
      "additional_special_tokens": ["<nowhere>"]})");
  folder.dir.file("tokenizer_config.json",
                  R"({"add_eos_token": true, "add_bos_token": true, "add_prefix_space": true})");
  const Tokenizer tokenizer = folder.load();
  EXPECT_EQ(tokenizer.encode("a  </s><pad>"), (Ids{5, 0, 7, 4, 6}));
  EXPECT_TRUE(tokenizer.is_special(4));
  EXPECT_TRUE(tokenizer.is_special(6));
  EXPECT_FALSE(tokenizer.is_special(7));
  EXPECT_EQ(tokenizer.encode(" a", kTemplate), (Ids{5, 0, 4}));  // there is no BOS to add
}

// OPT: a BOS that is also the EOS, named by an object, before every text; transformers 5.23 gives the same
// ids.
TEST(TokenizerFolder, TheBosOfOpt) {
  const OldFolder folder;
  folder.dir.file("tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true,
      "add_prefix_space": false, "bos_token": {"__type": "AddedToken", "content": "</s>", "normalized": true},
      "eos_token": {"__type": "AddedToken", "content": "</s>", "normalized": true}})");
  const Tokenizer tokenizer = folder.load();
  EXPECT_EQ(tokenizer.encode("a</s>b", kTemplate), (Ids{4, 0, 4, 1}));
  EXPECT_EQ(tokenizer.encode("", kTemplate), (Ids{4}));
}

// Phi: runs of spaces and tabs behind the vocabulary, the longest first; no BOS, though there is one.
TEST(TokenizerFolder, TheRunsOfSpacesOfPhi) {
  const OldFolder folder;
  folder.dir.file("added_tokens.json", R"({"   ": 6, "  ": 7, "\t\t": 8})");
  folder.dir.file(
      "tokenizer_config.json",
      R"({"tokenizer_class": "CodeGenTokenizer", "add_prefix_space": false, "bos_token": "</s>"})");
  const Tokenizer tokenizer = folder.load();
  EXPECT_EQ(tokenizer.encode("a     b\t\ta    b", kTemplate), (Ids{0, 6, 7, 1, 8, 0, 6, 5, 1}));
}

TEST(TokenizerFolder, TokensOfTheConfig) {
  const OldFolder folder;
  folder.dir.file("tokenizer_config.json",
                  R"({"tokenizer_class": "Qwen2Tokenizer", "bos_token": "</s>", "add_bos_token": true,
      "added_tokens_decoder": {"4": {"content": "</s>", "special": true, "lstrip": true},
                               "9": {"content": "<x>", "single_word": true}}})");
  folder.dir.file("added_tokens.json", R"({"never read": 3})");
  const Tokenizer tokenizer = folder.load();
  EXPECT_EQ(tokenizer.spec().pre_tokenizer, PreTokenizer::kQwen2);
  EXPECT_EQ(tokenizer.spec().normalizer.size(), 1u);
  ASSERT_EQ(tokenizer.spec().added.size(), 2u);
  EXPECT_TRUE(tokenizer.spec().added[0].lstrip);
  EXPECT_TRUE(tokenizer.spec().added[1].single_word);
  EXPECT_EQ(tokenizer.encode("a </s>", kTemplate), (Ids{4, 0, 4}));
}

TEST(TokenizerFolder, ConfigOverridesTheTemplateOfTokenizerJson) {
  const TempDir folder;
  folder.file("tokenizer.json", golden("llama3.tokenizer.json"));
  const auto first = [&] { return tokenizer_from_folder(folder.path()).encode("a", kTemplate); };
  EXPECT_EQ(first().size(), 2u);
  folder.file("tokenizer_config.json", R"({"add_bos_token": false})");
  EXPECT_EQ(first().size(), 1u);
  folder.file("tokenizer_config.json", R"({"add_bos_token": true, "bos_token": "<|end|>"})");
  EXPECT_EQ(first().front(), 1);
  folder.file("tokenizer_config.json", R"({"add_eos_token": true, "eos_token": "<none>"})");
  EXPECT_PARE_ERROR(first(), ErrorCode::kFormat, "eos_token \"<none>\"");
}

TEST(TokenizerFolder, SentencePieceModel) {
  const TempDir folder;
  folder.file("tokenizer.model", golden("sentencepiece/tokenizer.model"));
  const Tokenizer tokenizer = tokenizer_from_folder(folder.path());
  const Ids ids = tokenizer.encode("model</s>model", kTemplate);
  EXPECT_EQ(ids.front(), 1);
  EXPECT_EQ(ids.size(), 1 + 2 * tokenizer.encode("model").size() + 1);
  EXPECT_EQ(tokenizer.decode(ids), "model model");
  folder.file("tokenizer_config.json", R"({"legacy": false, "add_bos_token": false})");
  const Tokenizer later = tokenizer_from_folder(folder.path());
  EXPECT_EQ(later.decode(later.encode("model</s>model", kTemplate)), "modelmodel");
  EXPECT_EQ(later.encode("model", kTemplate), tokenizer.encode("model"));
}

TEST(TokenizerFolder, ErrorsNameTheFile) {
  const TempDir folder;
  const auto reject = [&](ErrorCode code, const char* message) {
    EXPECT_PARE_ERROR(tokenizer_from_folder(folder.path()), code, message);
  };
  reject(ErrorCode::kNotFound, "no tokenizer.json, tokenizer.model, or vocab.json and merges.txt");
  folder.file("vocab.json", R"({"a": 0})");
  reject(ErrorCode::kNotFound, "no tokenizer");
  folder.file("merges.txt", "a b c\n");
  reject(ErrorCode::kFormat, "merges.txt: \"a b c\"");
  folder.file("merges.txt", "a a\n");
  reject(ErrorCode::kFormat, "merge 0 needs \"aa\"");
  folder.file("vocab.json", "[]");
  reject(ErrorCode::kFormat, "vocab.json: expected an object");
  folder.file("added_tokens.json", R"({"x": -1})");
  reject(ErrorCode::kFormat, "\"-1\" is not a token id");
  folder.file("added_tokens.json", R"({"x": "1"})");
  reject(ErrorCode::kFormat, "\"x\" has no id");
  folder.file("tokenizer_config.json", R"({"added_tokens_decoder": {"1x": {"content": "a"}}})");
  reject(ErrorCode::kFormat, "\"1x\" is not a token id");
  folder.file("tokenizer_config.json", "[]");
  reject(ErrorCode::kFormat, "tokenizer_config.json: expected an object");
  folder.file("tokenizer_config.json", "{}");
  folder.file("added_tokens.json", "{}");
  folder.file("tokenizer.model", "\xff");
  reject(ErrorCode::kFormat, "tokenizer.model");
}

}  // namespace
}  // namespace pare
