#include "text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace pare {
namespace {

using Kind = ChatPart::Kind;
const ChatTokens kTokens = {"<s>", "</s>"};

const std::vector<ChatMessage> kTwoTurns = {
    {ChatRole::kUser, " Hi "}, {ChatRole::kAssistant, " Hello. "}, {ChatRole::kUser, "Bye"}};

std::vector<ChatMessage> with_system(std::vector<ChatMessage> messages) {
  messages.insert(messages.begin(), {ChatRole::kSystem, "Be kind."});
  return messages;
}

std::string written(const ChatTemplate& chat, const std::vector<ChatMessage>& messages) {
  std::string text;
  for (const ChatPart& part : render_chat(chat, kTokens, messages)) text += part.text;
  return text;
}

TEST(ChatTemplate, KnowsTheFamiliesByTheirMarks) {
  const auto style = [](const char* jinja) { return chat_style_name(recognize_chat_template(jinja).style); };
  EXPECT_EQ(style("{{ '<|im_start|>' + role }}"), "chatml");
  EXPECT_EQ(style("'[INST] <<SYS>>' bos_token"), "llama2");
  EXPECT_EQ(style("{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"), "llama2");
  EXPECT_EQ(style("<|start_header_id|> <|eot_id|>"), "llama3");
  EXPECT_EQ(style("{{ '[INST] ' + m + ' [/INST]' }}"), "mistral-v1");
  EXPECT_EQ(style("{{ '[INST] ' + m + '[/INST]' }}"), "mistral-v3");
  EXPECT_EQ(style("{{ '[INST]' + m + '[/INST]' }}"), "mistral-tekken");
  EXPECT_EQ(style("'<|user|>' '<|end|>'"), "phi3");
  EXPECT_EQ(style("'<|user|>' + eos_token"), "zephyr");
  EXPECT_EQ(style("'Instruct: ' '\\nOutput:'"), "phi2");
  for (const char* unknown : {"", "{{ messages }}", "<|im_start|> <think>", "[SYSTEM_PROMPT] [INST]"})
    EXPECT_PARE_ERROR(recognize_chat_template(unknown), ErrorCode::kUnsupported, "chatml, llama2");
  EXPECT_PARE_ERROR(chat_template_named("x"), ErrorCode::kUsage,
                    "\"x\" is not known, expected one of chatml");
  EXPECT_EQ(chat_template_named("phi2").style, ChatStyle::kPhi2);
}

TEST(ChatTemplate, ChatMl) {
  const ChatTemplate plain = recognize_chat_template("{{ '<|im_start|>' + m + '<|im_end|>' }}");
  EXPECT_EQ(written(plain, kTwoTurns),
            "<|im_start|>user\n Hi <|im_end|>\n<|im_start|>assistant\n Hello. <|im_end|>\n"
            "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(
      written(plain, with_system({{ChatRole::kUser, "Hi"}})),
      "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, DefaultSystemMessage) {
  const auto system = [](const char* jinja) { return recognize_chat_template(jinja).default_system; };
  EXPECT_EQ(system("{{ '<|im_start|>system\\nI\\'m here.<|im_end|>\\n' }}"), "I'm here.");
  EXPECT_EQ(system("{{ \"<|im_start|>system\nTwo\\nlines<|im_end|>\" }}"), "Two\nlines");
  EXPECT_EQ(system("{{ '<|im_start|>system\\n' + content + '<|im_end|>' }}"), "");
  EXPECT_EQ(system("{{ '<|im_start|>system\\n' + x }} {{ '<|im_start|>system\\nSecond<|im_end|>' }}"),
            "Second");
  EXPECT_EQ(system("<|im_start|>system\\"), "");
  const ChatTemplate chat = recognize_chat_template("{{ '<|im_start|>system\\nDefault<|im_end|>\\n' }}");
  EXPECT_THAT(written(chat, kTwoTurns),
              testing::StartsWith("<|im_start|>system\nDefault<|im_end|>\n<|im_start|>user"));
  EXPECT_THAT(written(chat, with_system(kTwoTurns)), testing::StartsWith("<|im_start|>system\nBe kind.<"));
}

TEST(ChatTemplate, Llama2) {
  const ChatTemplate chat = chat_template_named("llama2");
  EXPECT_EQ(written(chat, kTwoTurns), "<s>[INST] Hi [/INST] Hello. </s><s>[INST] Bye [/INST]");
  EXPECT_EQ(written(chat, with_system(kTwoTurns)),
            "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\n Hi [/INST] Hello. </s><s>[INST] Bye [/INST]");
}

TEST(ChatTemplate, Llama3) {
  ChatTemplate chat = chat_template_named("llama3");
  const std::string user = "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>";
  const std::string ask = "<|start_header_id|>assistant<|end_header_id|>\n\n";
  const std::string system = "<|start_header_id|>system<|end_header_id|>\n\n";
  EXPECT_EQ(written(chat, {{ChatRole::kUser, "Hi\n"}}), "<s>" + user + ask);
  chat = recognize_chat_template(
      "<|start_header_id|><|eot_id|>{% set date_string = \"1 Jan 2020\" %} Cutting Knowledge Date: "
      "bos_token");
  EXPECT_EQ(chat.date, "1 Jan 2020");
  const std::string dates = "Cutting Knowledge Date: December 2023\nToday Date: 1 Jan 2020\n\n";
  EXPECT_EQ(written(chat, {{ChatRole::kUser, "Hi"}}), "<s>" + system + dates + "<|eot_id|>" + user + ask);
  EXPECT_EQ(written(chat, with_system({{ChatRole::kUser, "Hi"}})),
            "<s>" + system + dates + "Be kind.<|eot_id|>" + user + ask);
  chat = recognize_chat_template(
      "<|start_header_id|><|eot_id|>Cutting Knowledge Date strftime_now date_string = \"x\"");
  EXPECT_TRUE(chat.has_date);
  EXPECT_EQ(chat.date, "");
}

TEST(ChatTemplate, Mistral) {
  const auto as = [](const char* name, const std::vector<ChatMessage>& messages) {
    return written(chat_template_named(name), messages);
  };
  EXPECT_EQ(as("mistral-v1", kTwoTurns), "<s>[INST]  Hi  [/INST] Hello. </s>[INST] Bye [/INST]");
  EXPECT_EQ(as("mistral-v3", kTwoTurns), "<s>[INST]  Hi [/INST] Hello.</s>[INST] Bye[/INST]");
  EXPECT_EQ(as("mistral-tekken", kTwoTurns), "<s>[INST] Hi [/INST] Hello. </s>[INST]Bye[/INST]");
  EXPECT_EQ(as("mistral-v1", with_system(kTwoTurns)),
            "<s>[INST] Be kind.\n\n Hi  [/INST] Hello. </s>[INST] Bye [/INST]");
  EXPECT_EQ(as("mistral-v3", with_system(kTwoTurns)),
            "<s>[INST]  Hi [/INST] Hello.</s>[INST] Be kind.\n\nBye[/INST]");
}

TEST(ChatTemplate, PhiAndZephyr) {
  EXPECT_EQ(written(chat_template_named("phi3"), with_system({{ChatRole::kUser, "Hi"}})),
            "<s><|system|>\nBe kind.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\n");
  EXPECT_EQ(written(chat_template_named("zephyr"), {{ChatRole::kUser, "Hi"}}),
            "<|user|>\nHi</s>\n<|assistant|>\n");
  EXPECT_EQ(written(chat_template_named("phi2"), kTwoTurns),
            "Instruct: Hi\nOutput: Hello.\nInstruct: Bye\nOutput:");
}

TEST(ChatTemplate, PartsTellWhoWrote) {
  const auto parts =
      render_chat(chat_template_named("llama2"), kTokens,
                  {{ChatRole::kUser, "[INST]"}, {ChatRole::kAssistant, ""}, {ChatRole::kUser, "</s>"}});
  std::vector<Kind> kinds;
  for (const ChatPart& part : parts) kinds.push_back(part.kind);
  EXPECT_THAT(kinds, testing::ElementsAre(Kind::kTemplate, Kind::kMessage, Kind::kTemplate, Kind::kAnswer,
                                          Kind::kTemplate, Kind::kMessage, Kind::kTemplate));
}

TEST(ChatTemplate, RolesAlternate) {
  const auto reject = [](const std::vector<ChatMessage>& messages, const char* message) {
    EXPECT_PARE_ERROR(render_chat({}, kTokens, messages), ErrorCode::kInvalid, message);
  };
  reject({}, "does not end in a message of the user");
  reject({{ChatRole::kSystem, "a"}}, "does not end");
  reject({{ChatRole::kUser, "a"}, {ChatRole::kAssistant, "b"}}, "does not end");
  reject({{ChatRole::kUser, "a"}, {ChatRole::kUser, "b"}}, "message 2 of the conversation is from \"user\"");
  reject({{ChatRole::kUser, "a"}, {ChatRole::kSystem, "b"}}, "from \"system\"");
}

}  // namespace
}  // namespace pare
