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
      {R"({"prompt": "a", "model": "gone"})", ErrorCode::kNotFound, "\"gone\" is not served"},
      {R"({"prompt": "a", "max_tokens": 0})", ErrorCode::kInvalid, "\"max_tokens\" is 0"},
      {R"({"prompt": "a", "max_tokens": "9"})", ErrorCode::kFormat, "max_tokens"},
      {R"({"prompt": "a", "max_tokens": 1.5})", ErrorCode::kFormat, "max_tokens"},
      {R"({"prompt": "a", "temperature": -1})", ErrorCode::kInvalid, "\"temperature\" is -1"},
      {R"({"prompt": "a", "top_p": 1.5})", ErrorCode::kInvalid, "\"top_p\" is 1.5"},
      {R"({"prompt": "a", "top_k": -2})", ErrorCode::kInvalid, "\"top_k\" is -2"},
      {R"({"prompt": "a", "min_p": 2})", ErrorCode::kInvalid, "\"min_p\" is 2"},
      {R"({"prompt": "a", "repetition_penalty": 0})", ErrorCode::kInvalid, "\"repetition_penalty\" is 0"},
      {R"({"prompt": "a", "n": 17})", ErrorCode::kInvalid, "\"n\" is 17"},
      {R"({"prompt": ["a", "b", "c"], "n": 6})", ErrorCode::kInvalid, "more than 16 choices"},
      {R"({"prompt": "a", "stop": ""})", ErrorCode::kInvalid, "\"stop\" has 0 bytes"},
      {R"({"prompt": "a", "stop": 5})", ErrorCode::kFormat, "\"stop\" is neither"},
      {R"({"prompt": "a", "stream": "yes"})", ErrorCode::kFormat, "stream"},
      {R"({"prompt": "a", "stream_options": 1})", ErrorCode::kFormat, "\"stream_options\" is not an object"},
      {R"({"prompt": "a", "logprobs": 3})", ErrorCode::kUnsupported, "\"logprobs\""},
      {R"({"prompt": "a", "echo": true})", ErrorCode::kUnsupported, "\"echo\""},
      {R"({"prompt": "a", "frequency_penalty": 0.5})", ErrorCode::kUnsupported, "\"frequency_penalty\""},
      {R"({"prompt": "a", "best_of": 3})", ErrorCode::kUnsupported, "\"best_of\""},
      {R"({"prompt": "a", "tools": [{}]})", ErrorCode::kUnsupported, "\"tools\""},
      {R"({"prompt": "a", "tools": [{}], "tool_choice": "auto"})", ErrorCode::kUnsupported, "\"tools\""},
      {R"({"prompt": "a", "tool_choice": "required"})", ErrorCode::kUnsupported, "\"tool_choice\""},
      {R"({"prompt": "a", "response_format": {"type": "json_object"}})", ErrorCode::kUnsupported,
       "\"response_format\""},
  };
  expect_refused(ApiKind::kCompletion, kRefusals);
  std::string longest = "Mira";
  for (int i = 0; i < 100; ++i) longest += " and the tide";
  EXPECT_PARE_ERROR(completion(R"({"prompt": ")" + longest + "\"}"), ErrorCode::kInvalid, "context of 64");
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
