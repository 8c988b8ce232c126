// What a folder's files say twice and not alike.
#include "checkpoint/disagreements.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "checkpoint/load.h"
#include "support/run_model.h"
#include "support/temp_dir.h"

namespace pare::test {
namespace {

using Strings = std::vector<std::string>;

class Disagreements : public testing::Test {
 protected:
  Disagreements() {
    std::filesystem::copy(golden_folder("tiny-model"), folder_.path(),
                          std::filesystem::copy_options::recursive);
  }
  // A file of the folder with `key` changed.
  void set(const char* file, const char* key, const Json& value) const {
    Json json = parse_json(read_file(folder_ / file, 1 << 20), file);
    json[key] = value;
    folder_.file(file, json.dump());
  }
  // What loading warns of goes to warned_.
  Strings found() {
    warned_.clear();
    set_log_sink([&](LogLevel, std::string_view message) { warned_ += message; });
    std::optional<Tokenizer> tokenizer;
    if (std::filesystem::exists(folder_ / "tokenizer.json")) tokenizer = load_tokenizer(folder_.path());
    Strings all =
        disagreements(folder_.path(), load_model(folder_.path()).config, tokenizer ? &*tokenizer : nullptr);
    set_log_sink({});
    return all;
  }

  TempDir folder_;
  std::string warned_;
};

TEST_F(Disagreements, NoneWhereAllSayTheSame) {
  EXPECT_EQ(found(), Strings());
  std::filesystem::remove(folder_ / "generation_config.json");
  std::filesystem::remove(folder_ / "tokenizer.json");  // nor where there is no tokenizer
  EXPECT_EQ(found(), Strings());
  EXPECT_EQ(warned_, "");
}

TEST_F(Disagreements, EndsOfAText) {
  set("generation_config.json", "eos_token_id", {2, 0});
  EXPECT_EQ(found(), (Strings{"ends of a text: config.json 2; generation_config.json 2, 0; the tokenizer 2; "
                              "each of them ends it"}));
  EXPECT_EQ(warned_, "");  // one has all of the other
  set("generation_config.json", "eos_token_id", 0);
  EXPECT_EQ(found().size(), 1u);
  EXPECT_EQ(warned_, folder_.path().string() +
                         ": config.json ends a text at 2, generation_config.json at 0: each of them ends it");
  set("generation_config.json", "eos_token_id", nullptr);
  set("tokenizer_config.json", "eos_token", "<|endoftext|>");
  EXPECT_EQ(found(), (Strings{"ends of a text: config.json 2; the tokenizer 0; each of them ends it"}));
  set("config.json", "eos_token_id", {2, 0});
  set("generation_config.json", "eos_token_id", {0, 2});
  set("tokenizer_config.json", "eos_token", nullptr);
  EXPECT_EQ(found(), Strings());
}

TEST_F(Disagreements, WhatElseIsSaidTwice) {
  set("generation_config.json", "bos_token_id", 0);
  EXPECT_THAT(
      found(),
      testing::ElementsAre(testing::StartsWith(
          "beginning of a text: config.json 1; generation_config.json 0; the tokenizer 1; a prompt")));
  set("generation_config.json", "bos_token_id", 1);
  folder_.file("special_tokens_map.json",
               R"({"bos_token": "<|im_start|>", "pad_token": {"content": "<|im_end|>"}})");
  EXPECT_EQ(found(), (Strings{"pad_token: tokenizer_config.json \"<|endoftext|>\"; special_tokens_map.json "
                              "\"<|im_end|>\"; the former counts"}));
  folder_.file("special_tokens_map.json", "{}");
  set("config.json", "architectures", {"MistralForCausalLM"});
  EXPECT_EQ(found(), (Strings{"family: \"model_type\" llama; \"architectures\" mistral; the former counts"}));
  set("config.json", "architectures", {"OtherForCausalLM"});
  EXPECT_EQ(found(), Strings());
}

TEST_F(Disagreements, TokensWithoutARow) {
  ModelConfig config = load_model(folder_.path()).config;
  config.vocab_size = 380;
  const Tokenizer tokenizer = load_tokenizer(folder_.path());
  EXPECT_EQ(disagreements(folder_.path(), config, &tokenizer),
            (Strings{"vocabulary: the tokenizer 384 tokens; the embedding 380 rows; a token without a row is "
                     "refused"}));
}

}  // namespace
}  // namespace pare::test
