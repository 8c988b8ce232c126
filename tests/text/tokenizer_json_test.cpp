#include <gtest/gtest.h>

#include "base/json.h"
#include "support/expect_error.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {
namespace {

Json small() {
  return Json::parse(R"({
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "decoder": {"type": "ByteLevel"},
    "added_tokens": [{"id": 9, "content": "<s>", "special": true}],
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 4}, "merges": ["a b"]}})");
}

Tokenizer load(const Json& json) { return Tokenizer::from_json(json.dump()); }

TEST(TokenizerJson, ReadsAFileWithOnlyWhatItNeeds) {
  const Tokenizer tokenizer = load(small());
  EXPECT_EQ(tokenizer.encode("<s>abb"), (std::vector<int32_t>{9, 4, 1}));
  EXPECT_EQ(tokenizer.vocab_size(), 10);
  EXPECT_FALSE(tokenizer.spec().added[0].normalized);
}

TEST(TokenizerJson, ReadsMergesAsPairs) {
  Json json = small();
  json["model"]["merges"] = Json::parse(R"([["a", "b"]])");
  EXPECT_EQ(load(json).encode("ab"), (std::vector<int32_t>{4}));
}

TEST(TokenizerJson, ReadsTemplates) {
  Json json = small();
  json["post_processor"] = Json::parse(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"},
      {"type": "TemplateProcessing",
       "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "<s>"}}],
       "special_tokens": {"<s>": {"id": "<s>", "ids": [9], "tokens": ["<s>"]}}}]})");
  const Tokenizer tokenizer = load(json);
  EXPECT_EQ(tokenizer.encode("a", {.add_special_tokens = true}), (std::vector<int32_t>{9, 0, 9}));
  EXPECT_EQ(tokenizer.encode("a"), (std::vector<int32_t>{0}));
}

TEST(TokenizerJson, ReadsTheEndsOfBertAndRoberta) {
  for (const char* type : {"BertProcessing", "RobertaProcessing"}) {
    Json json = small();
    json["post_processor"] = {{"type", type}, {"cls", {"<s>", 9}}, {"sep", {"a", 0}}};
    EXPECT_EQ(load(json).encode("b", {.add_special_tokens = true}), (std::vector<int32_t>{9, 1, 0}));
  }
}

// Steps of characters: at every space, which belongs to the word before it.
TEST(TokenizerJson, ReadsSplitsWithoutBytes) {
  Json json = small();
  json["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"String", "b"}}}, {"behavior", "MergedWithNext"}};
  json["decoder"] = {{"type", "Fuse"}};
  EXPECT_EQ(load(json).encode("abab"), (std::vector<int32_t>{0, 1, 0, 1}));
  json["pre_tokenizer"]["behavior"] = "MergedWithPrevious";
  EXPECT_EQ(load(json).encode("abab"), (std::vector<int32_t>{4, 4}));
  json["decoder"] = nullptr;
  EXPECT_PARE_ERROR(load(json), ErrorCode::kUnsupported, "Split without a decoder");
}

// Before there was prepend_scheme, add_prefix_space said whether a space comes first.
TEST(TokenizerJson, ReadsMetaspaceOfEarlierVersions) {
  for (const bool prefix : {true, false}) {
    Json json = small();
    json["model"]["vocab"]["\u2581"] = 5;
    json["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"add_prefix_space", prefix}};
    json["decoder"] = json["pre_tokenizer"];
    const Tokenizer tokenizer = load(json);
    EXPECT_EQ(tokenizer.encode("ab"), prefix ? (std::vector<int32_t>{5, 4}) : (std::vector<int32_t>{4}));
    EXPECT_EQ(tokenizer.decode({5, 4}), prefix ? "ab" : " ab");
  }
}

TEST(TokenizerJson, NamesThePartItDoesNotHave) {
  const auto reject = [](const char* pointer, const char* value, const char* message) {
    Json json = small();
    json[Json::json_pointer(pointer)] = Json::parse(value);
    EXPECT_PARE_ERROR(load(json), ErrorCode::kUnsupported, message);
  };
  reject("/normalizer", R"({"type": "Strip"})", "normalizer \"Strip\"");
  reject("/normalizer", R"({"type": "Replace", "pattern": {"Regex": "a"}, "content": "b"})",
         "Replace of a pattern");
  reject("/decoder", R"({"type": "WordPiece"})", "decoder \"WordPiece\"");
  reject("/model/type", R"("Unigram")", "model type \"Unigram\"");
  reject("/model/dropout", "0.1", "dropout");
  reject("/model/byte_fallback", "true", "byte_fallback");
  reject("/model/end_of_word_suffix", R"("</w>")", "end_of_word_suffix");
  reject("/pre_tokenizer", "null", "decoder ByteLevel without");
  reject("/pre_tokenizer", R"({"type": "Metaspace", "replacement": "_"})", "replacement");
  reject("/pre_tokenizer", R"({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "x"})",
         "\"x\"");
  reject(
      "/pre_tokenizer",
      R"({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "add_prefix_space": false})",
      "does not match its prepend_scheme");
  reject("/decoder", R"({"type": "Fuse"})", "decoder \"Fuse\"");
  const auto reject_before_bytes = [&](const std::string& part, const char* message) {
    const std::string sequence = R"({"type": "Sequence", "pretokenizers": [)" + part +
                                 R"(, {"type": "ByteLevel", "use_regex": false}]})";
    reject("/pre_tokenizer", sequence.c_str(), message);
  };
  reject_before_bytes(R"({"type": "UnicodeScripts"})",
                      "pare does not read the pre_tokenizer \"UnicodeScripts\"");
  reject_before_bytes(R"({"type": "Metaspace"})", "pre_tokenizer \"Metaspace\" among others");
  reject_before_bytes(R"({"type": "ByteLevel"})", "ByteLevel twice");
  reject_before_bytes(R"({"type": "Split", "behavior": "Gone", "pattern": {"String": "a"}})",
                      "behavior \"Gone\"");
  reject_before_bytes(R"({"type": "Split", "pattern": {"String": ""}})", "Split of a pattern");
  reject_before_bytes(R"({"type": "Split", "pattern": {"Regex": "(a)\\1"}})", "which pare does not read");
  reject("/pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [{"type": "Digits"},
      {"type": "ByteLevel", "add_prefix_space": true}]})",
         "Digits before add_prefix_space");
  reject("/post_processor", R"({"type": "Other"})", "post_processor \"Other\"");
}

TEST(TokenizerJson, RejectsWhatBreaksTheFormat) {
  const auto reject = [](const char* pointer, const char* value, const char* message) {
    Json json = small();
    json[Json::json_pointer(pointer)] = Json::parse(value);
    EXPECT_PARE_ERROR(load(json), ErrorCode::kFormat, message);
  };
  reject("/model", "[]", "\"model\" is array");
  reject("/model/vocab", "null", "\"vocab\"");
  reject("/model/vocab/b", "0", "share id 0");
  reject("/model/vocab/b", "-1", "id -1");
  reject("/model/vocab/b", "1048576", "id 1048576");
  reject("/model/vocab/b", "18446744073709551615", "id 18446744073709551615");
  reject("/model/vocab/b", "1.5", "id 1.5");
  reject("/model/vocab/b", R"("1")", "id \"1\"");
  reject("/model/merges", "{}", "\"merges\" is object");
  reject("/model/merges/0", R"("ab")", "not two tokens");
  reject("/model/merges/0", R"("a b c")", "not two tokens");
  reject("/model/merges/0", R"(["a"])", "expected two tokens");
  reject("/model/merges/0", R"("a c")", "merge 0 needs \"ac\"");
  reject("/model/unk_token", R"("<unk>")", "unk_token");
  reject("/added_tokens/0/id", "null", "\"<s>\" has id null");
  reject("/added_tokens", "[1]", "expected a JSON object");
  reject("/post_processor", R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}],
      "special_tokens": {}})",
         "\"x\" is missing");
  EXPECT_PARE_ERROR(Tokenizer::from_json("{"), ErrorCode::kFormat, "tokenizer.json");
  EXPECT_PARE_ERROR(Tokenizer::from_json("[]"), ErrorCode::kFormat, "array");
}

}  // namespace
}  // namespace pare
