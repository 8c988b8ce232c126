// Templates of tests/golden/chat over conversations, as jinja2 renders them.
#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>

#include "base/mapped_file.h"
#include "text/chat/chat_template.h"

namespace pare {
namespace {

constexpr uint64_t kMaxBytes = 16 << 20;
const std::string kFolder = PARE_GOLDEN_DIR "/chat/";

std::tm time_of(const std::string& text) {
  std::tm time{};
  EXPECT_NE(strptime(text.c_str(), "%Y-%m-%d %H:%M:%S", &time), nullptr);
  return time;
}

ChatEnding ending_of(const Json& conversation) {
  const std::string ending = conversation.value("ending", "answer");
  return ending == "answer"   ? ChatEnding::kAnswer
         : ending == "closed" ? ChatEnding::kClosed
                              : ChatEnding::kContinued;
}

ChatInput input_of(const Json& conversation, const std::tm& now) {
  ChatInput input;
  input.messages = conversation.at("messages");
  if (conversation.contains("tools")) input.tools = conversation.at("tools");
  if (conversation.contains("documents")) input.documents = conversation.at("documents");
  if (conversation.contains("variables")) input.variables = conversation.at("variables");
  input.ending = ending_of(conversation);
  input.now = now;
  return input;
}

TEST(ChatGoldens, TextsAreThoseOfJinja) {
  const Json golden = parse_json(read_file(kFolder + "cases.json", kMaxBytes), "cases.json");
  const std::tm now = time_of(golden.at("now"));
  for (const auto& [name, cases] : golden.at("expected").items()) {
    const ChatTemplate chat({{"default", read_file(kFolder + name + ".jinja", kMaxBytes)}},
                            {{"bos_token", golden.at("bos")}, {"eos_token", golden.at("eos")}});
    for (const auto& [label, expected] : cases.items()) {
      SCOPED_TRACE(name + ", " + label);
      const ChatInput input = input_of(golden.at("conversations").at(label), now);
      try {
        EXPECT_EQ(text_of(chat.render(input)), expected.value("text", "a refusal"));
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kInvalid) << error.what();
        EXPECT_EQ(error.what(), expected.value("refused", "a text"));
      }
    }
  }
}

}  // namespace
}  // namespace pare
