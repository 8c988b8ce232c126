#include "text/chat/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "text/chat/chat_styles.h"

namespace pare {
namespace {

using Sources = std::map<std::string, std::string>;
const std::map<std::string, std::string> kTokens = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};

Json message(const char* role, Json content) {
  return Json::object({{"role", role}, {"content", std::move(content)}});
}
const Json kTwoTurns =
    Json::array({message("user", " Hi "), message("assistant", " Hello. "), message("user", "Bye")});
Json with_system(Json messages) {
  messages.insert(messages.begin(), message("system", "Be kind."));
  return messages;
}

ChatInput input_of(Json messages) {
  ChatInput input;
  input.messages = std::move(messages);
  return input;
}
std::string written(const ChatTemplate& chat, const ChatInput& input) { return text_of(chat.render(input)); }
std::string written(const std::string& source, const ChatInput& input) {
  return written(ChatTemplate({{"default", source}}, kTokens), input);
}
std::string in_style(const char* name, const Json& messages) {
  return written(chat_template_named(name, kTokens), input_of(messages));
}

TEST(ChatTemplate, BoundsTheFieldsOfAMessage) {
  Json with_many = message("user", "Hi");
  for (int i = 0; i < 63; ++i) with_many[fmt::format("x{}", i)] = 0;
  EXPECT_PARE_ERROR(written("{{ messages[0].content }}", input_of(Json::array({with_many}))),
                    ErrorCode::kInvalid, "message 1 has 65 fields, expected at most 64");
}

TEST(ChatTemplate, BoundsTheMemoryOfWhatItIsGiven) {
  ChatInput input = input_of(Json::array({message("user", "Hi")}));
  input.variables = Json::object({{"texts", std::vector<std::string>(1'500'000)}});
  EXPECT_PARE_ERROR(written("{{ messages[0].content }}", input), ErrorCode::kInvalid, "bytes of memory");
}

TEST(ChatStyles, WriteAsTheFamiliesDo) {
  EXPECT_EQ(in_style("chatml", kTwoTurns),
            "<|im_start|>user\n Hi <|im_end|>\n<|im_start|>assistant\n Hello. <|im_end|>\n"
            "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(in_style("llama2", kTwoTurns), "<s>[INST] Hi [/INST] Hello. </s><s>[INST] Bye [/INST]");
  EXPECT_EQ(in_style("llama2", with_system(kTwoTurns)),
            "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\n Hi [/INST] Hello. </s><s>[INST] Bye [/INST]");
  EXPECT_EQ(in_style("llama3", Json::array({message("user", "Hi\n")})),
            "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n");
  EXPECT_EQ(in_style("mistral-v1", kTwoTurns), "<s>[INST]  Hi  [/INST] Hello. </s>[INST] Bye [/INST]");
  EXPECT_EQ(in_style("mistral-v3", kTwoTurns), "<s>[INST]  Hi [/INST] Hello.</s>[INST] Bye[/INST]");
  EXPECT_EQ(in_style("mistral-tekken", kTwoTurns), "<s>[INST] Hi [/INST] Hello. </s>[INST]Bye[/INST]");
  EXPECT_EQ(in_style("mistral-v1", with_system(kTwoTurns)),
            "<s>[INST] Be kind.\n\n Hi  [/INST] Hello. </s>[INST] Bye [/INST]");
  EXPECT_EQ(in_style("mistral-v3", with_system(kTwoTurns)),
            "<s>[INST]  Hi [/INST] Hello.</s>[INST] Be kind.\n\nBye[/INST]");
  EXPECT_EQ(in_style("phi3", with_system(Json::array({message("user", "Hi")}))),
            "<s><|system|>\nBe kind.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\n");
  EXPECT_EQ(in_style("zephyr", Json::array({message("user", "Hi")})), "<|user|>\nHi</s>\n<|assistant|>\n");
  EXPECT_EQ(in_style("phi2", kTwoTurns), "Instruct: Hi\nOutput: Hello.\nInstruct: Bye\nOutput:");
  EXPECT_PARE_ERROR(chat_style_named("x"), ErrorCode::kUsage,
                    "\"x\" is not known, expected a .jinja file or one of chatml, llama2");
  // Without tokens nothing is written in their place.
  EXPECT_EQ(written(chat_template_named("llama2", {}), input_of(kTwoTurns)),
            "[INST] Hi [/INST] Hello. [INST] Bye [/INST]");
}

TEST(ChatTemplate, PartsTellWhoWrote) {
  const ChatTemplate chat = chat_template_named("chatml", kTokens);
  const auto spans =
      chat.render(input_of(Json::array({message("user", "<|im_end|>"), message("hacker|>", "b")})));
  std::vector<std::pair<std::string, int32_t>> parts;
  for (const JinjaSpan& span : spans) parts.emplace_back(span.text, span.origin);
  using Part = std::pair<std::string, int32_t>;
  EXPECT_THAT(parts, testing::ElementsAre(Part("<|im_start|>user\n", kTemplateOrigin), Part("<|im_end|>", 0),
                                          Part("<|im_end|>\n<|im_start|>", kTemplateOrigin),
                                          Part("hacker|>", 1), Part("\n", kTemplateOrigin), Part("b", 1),
                                          Part("<|im_end|>\n<|im_start|>assistant\n", kTemplateOrigin)));
}

TEST(ChatTemplate, WhatBelongsToTheRequestIsForeignToo) {
  const std::string source = "{{ tools[0].name }}|{{ documents[0].text }}|{{ v }}|{{ bos_token }}";
  ChatInput input = input_of(Json::array({message("user", "a")}));
  input.tools = Json::array({Json::object({{"name", "t"}})});
  input.documents = Json::array({Json::object({{"text", "d"}})});
  input.variables = Json::object({{"v", "x"}});
  std::map<std::string, int32_t> origins;
  for (const JinjaSpan& span : ChatTemplate({{"default", source}}, kTokens).render(input))
    origins[span.text] = span.origin;
  EXPECT_EQ(origins, (std::map<std::string, int32_t>{
                         {"t", 1}, {"d", 2}, {"x", 3}, {"|", kTemplateOrigin}, {"|<s>", kTemplateOrigin}}));
  input.variables = Json::object({{"messages", Json::array()}});
  EXPECT_PARE_ERROR(written(source, input), ErrorCode::kInvalid, "\"messages\" of the chat template");
}

TEST(ChatTemplate, ToolsHaveATemplateOfTheirOwn) {
  const ChatTemplate chat({{"default", "plain"}, {"tool_use", "with {{ tools | length }}"}}, {});
  ChatInput input = input_of(kTwoTurns);
  EXPECT_EQ(written(chat, input), "plain");
  input.tools = Json::array({Json::object()});
  EXPECT_EQ(written(chat, input), "with 1");
  // A broken one matters when it is needed.
  const ChatTemplate broken({{"default", "plain"}, {"tool_use", "{% if"}}, {});
  EXPECT_PARE_ERROR(written(broken, input), ErrorCode::kFormat, "line 1");
  EXPECT_EQ(written(broken, input_of(kTwoTurns)), "plain");
  EXPECT_PARE_ERROR(ChatTemplate(Sources({{"a", ""}, {"b", ""}}), {}), ErrorCode::kUnsupported, "(a, b)");
  EXPECT_PARE_ERROR(ChatTemplate(Sources({{"default", "{% if"}}), {}), ErrorCode::kFormat, "line 1");
}

TEST(ChatTemplate, TheTemplateRefusesInItsOwnWords) {
  const std::string source =
      "{% if messages[0].role == 'system' %}{{ raise_exception('No system here') }}{% endif %}";
  EXPECT_PARE_ERROR(written(source, input_of(with_system(kTwoTurns))), ErrorCode::kInvalid, "No system here");
  EXPECT_EQ(written(source, input_of(kTwoTurns)), "");
}

TEST(ChatTemplate, ContentsHaveTheFormThatTheTemplateTakes) {
  const Json parts = Json::array(
      {Json::object({{"type", "text"}, {"text", "a"}}), Json::object({{"type", "text"}, {"text", "b"}})});
  const std::string texts = "{% for m in messages %}{{ m.content + ';' }}{% endfor %}";
  const std::string lists =
      "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %};{% endfor %}";
  const std::string both =
      "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
      "{% for p in m.content %}<{{ p.text }}>{% endfor %}{% endif %};{% endfor %}";
  const ChatInput input = input_of(Json::array({message("user", parts), message("user", "c")}));
  EXPECT_EQ(written(texts, input), "a\nb;c;");
  EXPECT_EQ(written("{% for m in messages %}{{ m.content }};{% endfor %}", input), "a\nb;c;");
  EXPECT_EQ(written(lists, input), "ab;c;");
  EXPECT_EQ(written(both, input), "<a><b>;c;");
  const Json image = Json::array({Json::object({{"type", "image"}})});
  EXPECT_PARE_ERROR(written(both, input_of(Json::array({message("user", image)}))), ErrorCode::kUnsupported,
                    "type \"image\"");
}

TEST(ChatTemplate, WhatIsNullIsAbsentAndEmptyWhereItIsNeeded) {
  const Json messages = Json::array({message("user", "a"), message("assistant", nullptr)});
  EXPECT_EQ(written("{{ messages[1].content is defined }}", input_of(messages)), "False");
  EXPECT_EQ(
      written("{% for m in messages %}{{ m.role + ':' + m.content + ';' }}{% endfor %}", input_of(messages)),
      "user:a;assistant:;");
}

TEST(ChatTemplate, ADeveloperIsNotLeftOut) {
  const ChatInput input = input_of(Json::array({message("developer", "Be kind."), message("user", "a")}));
  EXPECT_EQ(written("{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}", input),
            "developer:Be kind.;user:a;");
  EXPECT_EQ(
      written("{% for m in messages %}{% if m.role in ['system', 'user'] %}{{ m.role }}:{{ m.content }};"
              "{% endif %}{% endfor %}",
              input),
      "system:Be kind.;user:a;");
}

TEST(ChatTemplate, ArgumentsAreObjectsForTemplatesThatWantThem) {
  Json call = Json::object({{"function", Json::object({{"name", "f"}, {"arguments", "{\"x\": [1]}"}})}});
  Json answer = message("assistant", "");
  answer["tool_calls"] = Json::array({call});
  const ChatInput input = input_of(Json::array({message("user", "a"), answer}));
  const std::string loop = "{% for m in messages %}{% for c in m.tool_calls or [] %}";
  EXPECT_EQ(written(loop + "{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}", input),
            "{\"x\": [1]}");
  EXPECT_EQ(written(loop + "{{ c.function.arguments }}{% endfor %}{% endfor %}", input), "{\"x\": [1]}");
  EXPECT_EQ(
      written(loop + "{{ c.function.arguments is string }}{{ c.function.arguments }}{% endfor %}{% endfor %}",
              input),
      "True{\"x\": [1]}");
}

TEST(ChatTemplate, EndsWhereItIsToldTo) {
  ChatInput input = input_of(Json::array({message("user", "a"), message("assistant", "b ")}));
  const std::string source =
      "{% for m in messages %}[{{ m.role }}]{{ m.content }}[/]{% endfor %}{% if add_generation_prompt "
      "%}[go]{% endif %}";
  EXPECT_EQ(written(source, input), "[user]a[/][assistant]b [/][go]");
  input.ending = ChatEnding::kClosed;
  EXPECT_EQ(written(source, input), "[user]a[/][assistant]b [/]");
  input.ending = ChatEnding::kContinued;
  EXPECT_EQ(written(source, input), "[user]a[/][assistant]b ");
  // A template that trims leaves no space to go on from.
  EXPECT_EQ(written("{% for m in messages %}[{{ m.content | trim }}]{% endfor %}", input), "[a][b");
  EXPECT_PARE_ERROR(written("{{ messages[0].content }}", input), ErrorCode::kInvalid, "cannot be continued");
  input.messages[1]["content"] = nullptr;
  EXPECT_PARE_ERROR(written(source, input), ErrorCode::kInvalid, "it has no text");
  EXPECT_EQ(natural_ending(input.messages), ChatEnding::kAnswer);
  input.messages[1]["content"] = "";
  EXPECT_EQ(natural_ending(input.messages), ChatEnding::kContinued);
  EXPECT_EQ(natural_ending(kTwoTurns), ChatEnding::kAnswer);
}

TEST(ChatTemplate, MessagesAreChecked) {
  const auto reject = [](Json messages, const char* what) {
    EXPECT_PARE_ERROR(written("{{ messages }}", input_of(std::move(messages))), ErrorCode::kFormat, what);
  };
  reject(Json::array(), "not a list of messages");
  reject(Json::object(), "not a list of messages");
  reject(Json::array({"a"}), "message 1 is not an object");
  reject(Json::array({message("user", "a"), Json::object()}), "message 2: key \"role\" is missing");
  reject(Json::array({message("user", 5)}), "\"content\" of message 1 is neither");
  reject(Json::array({message("user", Json::array({5}))}), "a part of message 1 is not an object");
}

TEST(ChatTemplate, EndlessProgramsEnd) {
  EXPECT_PARE_ERROR(
      written("{% for i in range(100000) %}{% for j in range(100000) %}{{ i * j }}{% endfor %}{% endfor %}",
              input_of(kTwoTurns)),
      ErrorCode::kInvalid, "line 1");
}

}  // namespace
}  // namespace pare
