// What a model's files say about sampling it and about the ends of its texts.
#include "checkpoint/generation_config.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/log.h"
#include "checkpoint/end_tokens.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace pare::test {
namespace {

GenerationConfig read(const std::string& text) {
  const TempDir folder;
  folder.file("generation_config.json", text);
  return read_generation_config(folder.path());
}

SamplingOptions sampling(const std::string& text) { return sampling_of(read(text), {}); }

TEST(GenerationConfig, GivesTheDefaults) {
  const TempDir empty;
  EXPECT_EQ(read_generation_config(empty.path()), GenerationConfig());
  const GenerationConfig config = read(
      R"({"do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "min_p": 0.05,
          "repetition_penalty": 1.05, "max_new_tokens": 64, "pad_token_id": 3, "max_length": null})");
  EXPECT_EQ(config.source, "generation_config.json");
  EXPECT_EQ(config.max_new_tokens, 64);
  const SamplingOptions all = sampling_of(config, {});
  EXPECT_EQ(all.temperature, 0.7);
  EXPECT_EQ(all.top_k, 20);
  EXPECT_EQ(all.top_p, 0.8);
  EXPECT_EQ(all.min_p, 0.05);
  EXPECT_EQ(all.repetition_penalty, 1.05);
  EXPECT_EQ(describe(all), "temperature 0.7, top-k 20, top-p 0.8, min-p 0.05, repetition penalty 1.05");
}

TEST(GenerationConfig, WhoSamplesAndWhoIsGreedy) {
  EXPECT_EQ(sampling("{}").temperature, 0.0);  // the fallback's
  EXPECT_EQ(sampling(R"({"do_sample": true})").temperature, 1.0);
  EXPECT_EQ(sampling(R"({"top_p": 0.9})").temperature, 1.0);  // as vLLM
  EXPECT_EQ(sampling(R"({"temperature": 0.6})").temperature, 0.6);
  EXPECT_EQ(sampling(R"({"do_sample": false, "temperature": 0.6})").temperature, 0.0);
  EXPECT_EQ(sampling(R"({"repetition_penalty": 1.1})").temperature, 0.0);
  EXPECT_EQ(sampling(R"({"top_k": -1, "temperature": null})").top_k, 0);
  EXPECT_EQ(sampling_of(read(R"({"do_sample": false})"), {.temperature = 1.0}).temperature, 0.0);
  EXPECT_GT(sampling(R"({"top_p": 0})").top_p, 0.0);
  EXPECT_EQ(describe(sampling("{}")), "greedy");
}

TEST(GenerationConfig, BadValuesAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"temperature": -1})", "\"temperature\" is -1"},
      {R"({"temperature": NaN})", "\"temperature\" is nan"},
      {R"({"top_p": 1.5})", "\"top_p\" is 1.5"},
      {R"({"top_k": -2})", "\"top_k\" is -2"},
      {R"({"min_p": 2})", "\"min_p\" is 2"},
      {R"({"repetition_penalty": 0})", "\"repetition_penalty\" is 0"},
      {R"({"max_new_tokens": 0})", "\"max_new_tokens\" is 0"}};
  for (const auto& [text, message] : cases) EXPECT_PARE_ERROR(read(text), ErrorCode::kInvalid, message);
  EXPECT_PARE_ERROR(read(R"({"top_k": "many"})"), ErrorCode::kFormat, "\"top_k\"");
  EXPECT_PARE_ERROR(read(R"({"do_sample": 1})"), ErrorCode::kFormat, "\"do_sample\"");
  EXPECT_PARE_ERROR(read("[]"), ErrorCode::kFormat, "generation_config.json: expected a JSON object");
}

TEST(GenerationConfig, WhatPareDoesNotDoIsSaid) {
  std::vector<std::string> said;
  set_log_sink([&](LogLevel, std::string_view message) { said.emplace_back(message); });
  read(R"({"typical_p": 1.0, "num_beams": 1, "bad_words_ids": null, "no_repeat_ngram_size": 0})");
  EXPECT_TRUE(said.empty());
  read(R"({"typical_p": 0.9, "num_beams": 4, "suppress_tokens": [5]})");
  set_log_sink({});
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find(R"("typical_p", "num_beams", "suppress_tokens")"), std::string::npos) << said[0];
}

TEST(GenerationConfig, ThroughGguf) {
  const GenerationConfig config = read(
      R"({"do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.05})");
  const std::vector<GgufEntry> entries = gguf_sampling_entries(config);
  const TempDir folder;
  const auto path = folder.file("m.gguf", gguf_header({}, entries));
  const GenerationConfig again = read_generation_config(path);
  EXPECT_EQ(sampling_of(again, {}).temperature, 0.7);
  EXPECT_EQ(describe(sampling_of(again, {})), describe(sampling_of(config, {})));
  EXPECT_EQ(generation_json(again), (Json{{"do_sample", true},
                                          {"temperature", 0.7},
                                          {"top_k", 20},
                                          {"top_p", 0.8},
                                          {"repetition_penalty", 1.05}}));
  const auto greedy =
      folder.file("g.gguf", gguf_header({}, gguf_sampling_entries(read(R"({"do_sample": false})"))));
  EXPECT_EQ(sampling_of(read_generation_config(greedy), {.temperature = 1.0}).temperature, 0.0);
  EXPECT_EQ(generation_json(read_generation_config(greedy)), (Json{{"do_sample", false}}));
  // Sampling that names no temperature is at 1, which other readers have to be told.
  for (const char* text : {R"({"do_sample": true})", R"({"top_p": 0.8})"}) {
    const auto sampled = folder.file("s.gguf", gguf_header({}, gguf_sampling_entries(read(text))));
    EXPECT_EQ(read_generation_config(sampled).temperature, 1.0) << text;
  }
  const GgufEntry bad{"general.sampling.temp", std::string("hot")};
  EXPECT_PARE_ERROR(read_generation_config(folder.file("b.gguf", gguf_header({}, std::span(&bad, 1)))),
                    ErrorCode::kFormat, "general.sampling.temp");
}

GgufMetadata vocabulary(std::vector<std::string> tokens, std::vector<int32_t> types) {
  GgufMetadata metadata;
  metadata.add("tokenizer.ggml.tokens", GgufArray{std::move(tokens)});
  metadata.add("tokenizer.ggml.token_type", GgufArray{std::move(types)});
  return metadata;
}

TEST(EndTokens, AllThatGgufKnows) {
  GgufMetadata metadata =
      vocabulary({"a", "<|im_end|>", "</s>", "<eos>", "<turn>", "<|endoftext|>"}, {1, 3, 1, 3, 3, 1});
  EXPECT_EQ(gguf_ends(metadata), (std::vector<int32_t>{1, 3, 5}));  // an ordinary "</s>" is text
  metadata.add("tokenizer.ggml.eos_token_id", uint32_t{5});
  metadata.add("tokenizer.ggml.eot_token_id", uint32_t{4});
  metadata.add("tokenizer.ggml.eom_token_id", uint32_t{99});  // there is no such token
  EXPECT_EQ(gguf_ends(metadata), (std::vector<int32_t>{5, 4, 1, 3}));
}

TEST(EndTokens, AllAreNamedInGguf) {
  const std::vector<std::string> tokens = {"a", "<|im_end|>", "b", "c", "d"};
  EXPECT_TRUE(gguf_end_entries(std::vector<int32_t>{2}, tokens).empty());
  EXPECT_TRUE(gguf_end_entries(std::vector<int32_t>{2, 1}, tokens).empty());  // llama.cpp knows its text
  std::vector<std::string> said;
  set_log_sink([&](LogLevel, std::string_view message) { said.emplace_back(message); });
  const std::vector<int32_t> ends = {0, 1, 2, 3, 4};
  GgufMetadata metadata = vocabulary(tokens, {1, 3, 1, 1, 1});
  metadata.add("tokenizer.ggml.eos_token_id", uint32_t{0});
  for (const GgufEntry& entry : gguf_end_entries(ends, tokens)) metadata.add(entry.key, entry.value);
  set_log_sink({});
  EXPECT_EQ(metadata.get_u32("tokenizer.ggml.eot_token_id"), 2u);
  EXPECT_EQ(metadata.get_u32("tokenizer.ggml.eom_token_id"), 3u);
  std::vector<int32_t> again = gguf_ends(metadata);
  EXPECT_EQ(again.front(), 0);
  std::sort(again.begin(), again.end());
  EXPECT_EQ(again, ends);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("the ends 4"), std::string::npos) << said[0];
}

}  // namespace
}  // namespace pare::test
