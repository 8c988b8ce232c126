#include "serve/api_request.h"

#include <gtest/gtest.h>

#include "serve/served_tiny.h"
#include "support/expect_error.h"

namespace pare {
namespace {

constexpr int64_t kContext = 64;

class ApiRequestTest : public testing::Test {
 protected:
  ApiRequest completion(const std::string& body) const {
    return read_api_request(ApiKind::kCompletion, body, models_, kContext);
  }
  ApiRequest chat(const std::string& body) const {
    return read_api_request(ApiKind::kChat, body, models_, kContext);
  }

  static std::string many_prompts(int64_t count) {
    return Json{{"prompt", std::vector<std::string>(static_cast<size_t>(count), "a")}}.dump();
  }

  struct Refusal {
    const char* body;
    ErrorCode code;
    const char* message;
  };
  void expect_refused(ApiKind kind, std::span<const Refusal> refusals) const {
    for (const Refusal& r : refusals) {
      SCOPED_TRACE(r.body);
      EXPECT_PARE_ERROR(read_api_request(kind, r.body, models_, kContext), r.code, r.message);
    }
  }

  test::ServedTiny tiny_;
  std::vector<ServedModel> models_ = tiny_.models();
};

TEST_F(ApiRequestTest, WhatIsNotSaidIsAsTheApiHasIt) {
  const ApiRequest request = completion(R"({"prompt": "Mira"})");
  EXPECT_EQ(request.model, 0u);
  EXPECT_FALSE(request.stream);
  EXPECT_FALSE(request.include_usage);
  ASSERT_EQ(request.choices.size(), 1u);
  EXPECT_EQ(request.choices[0].prompt, tiny_.tokenizer.encode("Mira", {true, true}));
  const GenerateOptions& options = request.choices[0].options;
  EXPECT_EQ(options.max_tokens, 16);
  EXPECT_EQ(options.sampling.temperature, 1.0);
  EXPECT_EQ(options.sampling.top_p, 1.0);
  EXPECT_EQ(options.sampling.top_k, 0);
  EXPECT_FALSE(options.ignore_eos);
  // A seed of its own.
  EXPECT_NE(completion(R"({"prompt": "Mira"})").choices[0].options.sampling.seed, options.sampling.seed);
}

TEST_F(ApiRequestTest, WhatIsSaidCounts) {
  const ApiRequest request = completion(R"({
    "model": "mute", "prompt": "Mira", "max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 40,
    "min_p": 0.05, "repetition_penalty": 1.1, "seed": 11, "stop": ["a", "bc"], "ignore_eos": true,
    "stream": true, "stream_options": {"include_usage": true}, "user": "somebody", "n": 1, "best_of": 1,
    "logprobs": null, "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "echo": false})");
  EXPECT_EQ(request.model, 1u);
  EXPECT_TRUE(request.stream);
  EXPECT_TRUE(request.include_usage);
  const GenerateOptions& options = request.choices[0].options;
  EXPECT_EQ(options.max_tokens, 7);
  EXPECT_EQ(options.sampling.temperature, 0.5);
  EXPECT_EQ(options.sampling.top_p, 0.9);
  EXPECT_EQ(options.sampling.top_k, 40);
  EXPECT_EQ(options.sampling.min_p, 0.05);
  EXPECT_EQ(options.sampling.repetition_penalty, 1.1);
  EXPECT_EQ(options.sampling.seed, 11u);
  EXPECT_EQ(options.stop, (std::vector<std::string>{"a", "bc"}));
  EXPECT_TRUE(options.ignore_eos);
}

TEST_F(ApiRequestTest, WhatItSaysOfTokensCounts) {
  const GenerateOptions options = completion(R"({
    "prompt": "Mira", "max_tokens": -1, "min_tokens": 3, "repeat_penalty": 1.2, "frequency_penalty": 0.5,
    "presence_penalty": -0.25, "logit_bias": {"3": -100, "5": 1.5}, "stop_token_ids": [4, 6.0],
    "stop": ["", "a"], "logprobs": 0, "echo": true, "seed": -5})")
                                      .choices[0]
                                      .options;
  EXPECT_GT(options.max_tokens, 1000000);
  EXPECT_EQ(options.min_tokens, 3);
  EXPECT_EQ(options.sampling.repetition_penalty, 1.2);
  EXPECT_EQ(options.sampling.frequency_penalty, 0.5);
  EXPECT_EQ(options.sampling.presence_penalty, -0.25);
  EXPECT_EQ(options.sampling.logit_bias, (std::vector<std::pair<int32_t, float>>{{3, -100.0f}, {5, 1.5f}}));
  EXPECT_EQ(options.stop_ids, (std::vector<int32_t>{4, 6}));
  EXPECT_EQ(options.stop, std::vector<std::string>{"a"});
  EXPECT_EQ(options.logprobs, 0);
  EXPECT_TRUE(options.score_prompt);
  EXPECT_EQ(options.sampling.seed, static_cast<uint64_t>(-5));
  // A prompt is scored only where it is shown.
  EXPECT_FALSE(completion(R"({"prompt": "a", "logprobs": 5})").choices[0].options.score_prompt);
}

TEST_F(ApiRequestTest, WholeNumbersMayBeWrittenAsFloats) {
  const ApiRequest request = completion(R"({"prompt": [3.0, 4], "max_tokens": 7.0, "top_k": 40.0, "n": 2.0,
    "seed": 5.0, "logprobs": 2.0, "best_of": 2.0})");
  ASSERT_EQ(request.choices.size(), 2u);
  EXPECT_EQ(request.choices[0].prompt, (std::vector<int32_t>{3, 4}));
  EXPECT_EQ(request.choices[0].options.max_tokens, 7);
  EXPECT_EQ(request.choices[0].options.sampling.top_k, 40);
  EXPECT_EQ(request.choices[0].options.sampling.seed, 5u);
}

TEST_F(ApiRequestTest, ManyPromptsAndStopsAreTaken) {
  EXPECT_EQ(completion(many_prompts(kMaxChoices)).choices.size(), static_cast<size_t>(kMaxChoices));
  const Json body = {{"prompt", "a"}, {"stop", std::vector<std::string>(kMaxStops, "b")}};
  EXPECT_EQ(completion(body.dump()).choices[0].options.stop.size(), static_cast<size_t>(kMaxStops));
  EXPECT_TRUE(completion(R"({"prompt": "a", "stop": ""})").choices[0].options.stop.empty());
}

TEST_F(ApiRequestTest, APromptAloneMayFillTheContext) {
  const Json ids = std::vector<int32_t>(kContext, 3);
  Json body = {{"prompt", ids}, {"max_tokens", 0}};
  EXPECT_EQ(completion(body.dump()).choices[0].prompt.size(), static_cast<size_t>(kContext));
  body["max_tokens"] = 1;
  EXPECT_PARE_ERROR(completion(body.dump()), ErrorCode::kInvalid,
                    "64 tokens, and an answer takes at least one");
}

TEST_F(ApiRequestTest, WhatTheModelSaysHoldsUntilARequestSaysMore) {
  models_[0].defaults.sampling.temperature = 0.2;
  models_[0].defaults.sampling.top_k = 7;
  models_[0].defaults.stop_ids = {9};
  const GenerateOptions options =
      completion(R"({"prompt": "a", "top_k": 8, "stop_token_ids": [4]})").choices[0].options;
  EXPECT_EQ(options.sampling.temperature, 0.2);
  EXPECT_EQ(options.sampling.top_k, 8);
  EXPECT_EQ(options.stop_ids, (std::vector<int32_t>{9, 4}));
  // What the model's end is does not count then, what the request says does.
  EXPECT_EQ(
      completion(R"({"prompt": "a", "ignore_eos": true, "stop_token_ids": [4]})").choices[0].options.stop_ids,
      std::vector<int32_t>{4});
}

TEST_F(ApiRequestTest, ChatsSayWhetherAndThenHowManyAreScored) {
  const std::string messages = R"({"messages": [{"role": "user", "content": "a"}])";
  const auto logprobs = [&](const std::string& more) {
    return chat(messages + more + "}").choices[0].options.logprobs;
  };
  EXPECT_EQ(logprobs(R"(, "logprobs": true)"), 0);
  EXPECT_EQ(logprobs(R"(, "logprobs": true, "top_logprobs": 5)"), 5);
  EXPECT_EQ(logprobs(R"(, "logprobs": false, "top_logprobs": 0)"), std::nullopt);
  EXPECT_PARE_ERROR(logprobs(R"(, "top_logprobs": 5)"), ErrorCode::kInvalid, "\"top_logprobs\" is 5");
  EXPECT_PARE_ERROR(logprobs(R"(, "echo": true)"), ErrorCode::kUnsupported, "\"echo\"");
}

TEST_F(ApiRequestTest, ForeignFieldsThatWouldChangeTheAnswerAreRefused) {
  for (const char* said :
       {R"("guided_json": {"type": "object"})", R"("guided_regex": "a+")", R"("grammar": "root ::= \"a\"")",
        R"("structured_outputs": {"regex": "a"})", R"("mirostat": 2)", R"("typical_p": 0.9)",
        R"("bad_words": ["a"])", R"("prompt_logprobs": 1)", R"("use_beam_search": true)",
        R"("dry_multiplier": 0.8)", R"("xtc_probability": 0.1)", R"("top_n_sigma": 1)",
        R"("skip_special_tokens": false)", R"("samplers": ["top_k"])"}) {
    const std::string name = std::string(said).substr(0, std::string(said).find(':'));
    EXPECT_PARE_ERROR(completion(std::string(R"({"prompt": "a", )") + said + "}"), ErrorCode::kUnsupported,
                      name + " is not supported");
  }
  EXPECT_NO_THROW(completion(R"({"prompt": "a", "guided_json": null, "grammar": "", "mirostat": 0,
    "typical_p": 1.0, "top_n_sigma": -1, "dry_multiplier": 0.0, "bad_words": [], "skip_special_tokens": true,
    "cache_prompt": true, "mirostat_tau": 5.0, "repeat_last_n": 64, "user": "x", "store": false})"));
}

TEST_F(ApiRequestTest, PromptsTimesNAreChoicesEachWithASeed) {
  const ApiRequest request = completion(R"({"prompt": ["Mira", [3, 4, 5]], "n": 2, "seed": 5})");
  ASSERT_EQ(request.choices.size(), 4u);
  EXPECT_EQ(request.choices[1].prompt, request.choices[0].prompt);
  EXPECT_EQ(request.choices[2].prompt, (std::vector<int32_t>{3, 4, 5}));
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(request.choices[i].options.sampling.seed, 5 + i);
  EXPECT_EQ(completion(R"({"prompt": [3, 4]})").choices[0].prompt, (std::vector<int32_t>{3, 4}));
}

TEST_F(ApiRequestTest, AChatIsWrittenByTheModelsTemplate) {
  const ApiRequest request = chat(R"({"messages": [
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "content": [{"type": "text", "text": "a<|im"}, {"type": "text", "text": "_end|>"}]}],
    "max_completion_tokens": 9})");
  const std::vector<TextPart> parts = {{"<|im_start|>developer\n"},
                                       {"Be kind.", false},
                                       {"<|im_end|>\n<|im_start|>user\n"},
                                       {"a<|im\n_end|>", false},
                                       {"<|im_end|>\n<|im_start|>assistant\n"}};
  ASSERT_EQ(request.choices.size(), 1u);
  EXPECT_FALSE(request.continues);
  EXPECT_EQ(request.choices[0].prompt, tiny_.tokenizer.encode_parts(parts, {}));
  EXPECT_EQ(request.choices[0].options.max_tokens, 9);
  EXPECT_FALSE(request.choices[0].options.stop_ids.empty());
  // A chat goes on as long as there is room.
  EXPECT_GT(chat(R"({"messages": [{"role": "user", "content": "a"}]})").choices[0].options.max_tokens, 1000);
}

TEST_F(ApiRequestTest, RefusesWhatItCannotDo) {
  const Refusal kRefusals[] = {
      {"", ErrorCode::kFormat, "not valid JSON"},
      {"[]", ErrorCode::kFormat, "not a JSON object"},
      {R"({"prompt": "a", "prompt": "b"})", ErrorCode::kFormat, "duplicate JSON key"},
      {"{}", ErrorCode::kFormat, "\"prompt\" is missing"},
      {R"({"prompt": 5})", ErrorCode::kFormat, "\"prompt\" is neither"},
      {R"({"prompt": [["a"]]})", ErrorCode::kFormat, "\"prompt\" is neither"},
      {R"({"prompt": []})", ErrorCode::kInvalid, "a list of 0 prompts"},
      {R"({"prompt": [3, -1]})", ErrorCode::kInvalid, "-1, which is no token id"},
      {R"({"prompt": [3, 99999999999]})", ErrorCode::kInvalid, "99999999999, which is no token id"},
      {R"({"prompt": [1000000]})", ErrorCode::kInvalid, "outside the vocabulary"},
      {R"({"prompt": [3.5]})", ErrorCode::kInvalid, "3.5, which is no token id"},
      {R"({"prompt": "a", "model": "gone"})", ErrorCode::kNotFound, "The model `gone` does not exist"},
      {R"({"prompt": "a", "max_tokens": -2})", ErrorCode::kInvalid, "\"max_tokens\" is -2"},
      {R"({"prompt": "a", "max_tokens": "9"})", ErrorCode::kFormat, "max_tokens"},
      {R"({"prompt": "a", "max_tokens": 5, "n_predict": 6})", ErrorCode::kInvalid,
       "\"max_tokens\" is 5, and another name of it says 6"},
      {R"({"prompt": "a", "max_tokens": 1.5})", ErrorCode::kFormat, "max_tokens"},
      {R"({"prompt": "a", "temperature": -1})", ErrorCode::kInvalid, "\"temperature\" is -1"},
      {R"({"prompt": "a", "top_p": 1.5})", ErrorCode::kInvalid, "\"top_p\" is 1.5"},
      {R"({"prompt": "a", "top_k": -2})", ErrorCode::kInvalid, "\"top_k\" is -2"},
      {R"({"prompt": "a", "min_p": 2})", ErrorCode::kInvalid, "\"min_p\" is 2"},
      {R"({"prompt": "a", "repetition_penalty": 0})", ErrorCode::kInvalid, "\"repetition_penalty\" is 0"},
      {R"({"prompt": "a", "n": 129})", ErrorCode::kInvalid, "\"n\" is 129"},
      {R"({"prompt": "a", "repetition_penalty": 1.1, "repeat_penalty": 1.2})", ErrorCode::kInvalid,
       "another name of it, is 1.2"},
      {R"({"prompt": "a", "repeat_penalty": 1.1, "repeat_last_n": 64})", ErrorCode::kUnsupported,
       "\"repeat_last_n\" is 64"},
      {R"({"prompt": "a", "min_tokens": 17})", ErrorCode::kInvalid, "\"min_tokens\" is 17"},
      {R"({"prompt": "a", "stop_token_ids": [1000000]})", ErrorCode::kInvalid, "holds 1000000"},
      {R"({"prompt": "a", "stop_token_ids": 3})", ErrorCode::kFormat, "\"stop_token_ids\" is not a list"},
      {R"({"prompt": "a", "logit_bias": [[3, 1]]})", ErrorCode::kFormat, "\"logit_bias\" is not an object"},
      {R"({"prompt": "a", "logit_bias": {"x": 1}})", ErrorCode::kInvalid, "the token \"x\""},
      {R"({"prompt": "a", "logit_bias": {"1000000": 1}})", ErrorCode::kInvalid, "the token \"1000000\""},
      {R"({"prompt": "a", "logit_bias": {"3": 101}})", ErrorCode::kInvalid, "of token 3 is 101"},
      {R"({"prompt": "a", "logit_bias": {"3": "1"}})", ErrorCode::kInvalid, "of token 3 is \"1\""},
      {R"({"prompt": "a", "stop": 5})", ErrorCode::kFormat, "\"stop\" is neither"},
      {R"({"prompt": "a", "stream": "yes"})", ErrorCode::kFormat, "stream"},
      {R"({"prompt": "a", "stream_options": 1})", ErrorCode::kFormat, "\"stream_options\" is not an object"},
      {R"({"prompt": "a", "logprobs": 21})", ErrorCode::kInvalid, "\"logprobs\" is 21"},
      {R"({"prompt": "a", "logprobs": true})", ErrorCode::kFormat, "\"logprobs\" is true"},
      {R"({"prompt": "a", "top_logprobs": 3})", ErrorCode::kUnsupported, "\"top_logprobs\""},
      {R"({"prompt": "a", "frequency_penalty": "x"})", ErrorCode::kFormat, "frequency_penalty"},
      {R"({"prompt": "a", "presence_penalty": 101})", ErrorCode::kInvalid, "\"presence_penalty\" is 101"},
      {R"({"prompt": "a", "best_of": 3})", ErrorCode::kUnsupported, "\"best_of\""},
      {R"({"prompt": "a", "tools": [{}]})", ErrorCode::kUnsupported, "\"tools\""},
      {R"({"prompt": "a", "tools": [{}], "tool_choice": "auto"})", ErrorCode::kUnsupported, "\"tools\""},
      {R"({"prompt": "a", "tool_choice": "required"})", ErrorCode::kUnsupported, "\"tool_choice\""},
      {R"({"prompt": "a", "response_format": {"type": "json_object"}})", ErrorCode::kUnsupported,
       "\"response_format\""},
  };
  expect_refused(ApiKind::kCompletion, kRefusals);
  EXPECT_PARE_ERROR(completion(many_prompts(kMaxChoices + 1)), ErrorCode::kInvalid, "a list of 2049 prompts");
  Json twice = parse_json(many_prompts(kMaxChoices / 2 + 1), "request");
  twice["n"] = 2;
  EXPECT_PARE_ERROR(completion(twice.dump()), ErrorCode::kInvalid, "more than 2048 choices");
  std::string longest = "Mira";
  for (int i = 0; i < 100; ++i) longest += " and the tide";
  EXPECT_PARE_ERROR(completion(R"({"prompt": ")" + longest + "\"}"), ErrorCode::kInvalid,
                    "context length is 64");
  EXPECT_PARE_ERROR(completion(std::string(100, '[')), ErrorCode::kFormat, "nested deeper");
}

TEST_F(ApiRequestTest, RefusesConversationsThatAreNone) {
  const Refusal kRefusals[] = {
      {"{}", ErrorCode::kFormat, "\"messages\" is not a list"},
      {R"({"messages": []})", ErrorCode::kFormat, "\"messages\" is not a list"},
      {R"({"messages": ["a"]})", ErrorCode::kFormat, "message 1 is not an object"},
      {R"({"messages": [{"content": "a"}]})", ErrorCode::kFormat, "\"role\" is missing"},
      {R"({"messages": [{"role": "user", "content": 5}]})", ErrorCode::kFormat, "\"content\" of message 1"},
      {R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})", ErrorCode::kUnsupported,
       "a part of the type \"image_url\""},
      {R"({"model": "mute", "messages": [{"role": "user", "content": "a"}]})", ErrorCode::kUnsupported,
       "mute has no chat template"},
  };
  expect_refused(ApiKind::kChat, kRefusals);
}

TEST_F(ApiRequestTest, AnyOrderOfRolesIsAnswered) {
  const auto prompt = [&](const std::string& messages) {
    return tiny_.tokenizer.decode(chat(R"({"messages": [)" + messages + "]}").choices[0].prompt, false);
  };
  const std::string user = R"({"role": "user", "content": "a"})";
  const std::string as_user = "<|im_start|>user\na<|im_end|>\n";
  const std::string begun = "<|im_start|>assistant\n";
  EXPECT_EQ(prompt(user + "," + user), as_user + as_user + begun);
  EXPECT_EQ(prompt(user + R"(, {"role": "system", "content": "b"})"),
            as_user + "<|im_start|>system\nb<|im_end|>\n" + begun);
  EXPECT_EQ(prompt(R"({"role": "assistant", "content": null},)" + user),
            begun + "<|im_end|>\n" + as_user + begun);
  EXPECT_EQ(prompt(user + R"(, {"role": "tool", "content": "b", "tool_call_id": "c"})"),
            as_user + "<|im_start|>tool\nb<|im_end|>\n" + begun);
}

TEST_F(ApiRequestTest, AnAnswerThatWasBegunGoesOn) {
  const std::string messages =
      R"("messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b "}])";
  const auto read = [&](const std::string& more) { return chat("{" + messages + more + "}"); };
  const auto text = [&](const ApiRequest& request) {
    return tiny_.tokenizer.decode(request.choices[0].prompt, false);
  };
  const std::string begun = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb ";
  EXPECT_EQ(text(read("")), begun);
  EXPECT_TRUE(read("").continues);
  EXPECT_EQ(text(read(R"(, "continue_final_message": true, "add_generation_prompt": false)")), begun);
  const ApiRequest anew = read(R"(, "add_generation_prompt": true)");
  EXPECT_EQ(text(anew), begun + "<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_FALSE(anew.continues);
  EXPECT_EQ(text(read(R"(, "add_generation_prompt": false)")), begun + "<|im_end|>\n");
  EXPECT_EQ(text(read(R"(, "continue_final_message": false)")), text(anew));
  EXPECT_PARE_ERROR(read(R"(, "continue_final_message": true, "add_generation_prompt": true)"),
                    ErrorCode::kInvalid, "exclude each other");
}

}  // namespace
}  // namespace pare
