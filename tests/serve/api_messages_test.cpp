#include "serve/api_messages.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace pare {
namespace {

const std::string kMessages = R"("messages": [{"role": "user", "content": "a"}])";

ChatInput read(const std::string& more) {
  return read_chat_input(parse_json("{" + kMessages + more + "}", "request"));
}

TEST(ApiMessages, VariablesOfTheTemplate) {
  EXPECT_TRUE(read("").variables.empty());
  const ChatInput input =
      read(R"(, "chat_template_kwargs": {"enable_thinking": false}, "reasoning_effort": "low",
                                  "documents": [{"title": "b"}])");
  EXPECT_EQ(input.variables.at("enable_thinking"), false);
  EXPECT_EQ(input.variables.at("reasoning_effort"), "low");
  EXPECT_EQ(input.documents.at(0).at("title"), "b");
  EXPECT_TRUE(input.tools.is_null());
  EXPECT_PARE_ERROR(read(R"(, "chat_template_kwargs": [1])"), ErrorCode::kFormat, "\"chat_template_kwargs\"");
  EXPECT_PARE_ERROR(read(R"(, "documents": "b")"), ErrorCode::kFormat, "\"documents\"");
  EXPECT_PARE_ERROR(read(R"(, "chat_template": "{{ 1 }}")"), ErrorCode::kUnsupported, "\"chat_template\"");
}

TEST(ApiMessages, TooManyMessages) {
  Json body = {{"messages", Json::array()}};
  for (int64_t i = 0; i <= kMaxMessages; ++i)
    body["messages"].push_back(Json::object({{"role", "user"}, {"content", "a"}}));
  EXPECT_PARE_ERROR(read_chat_input(body), ErrorCode::kInvalid, "expected at most 10000");
}

TEST(ApiMessages, ToolsThatMayNotBeCalled) {
  const auto check = [](const std::string& body) { refuse_tools(parse_json(body, "request")); };
  EXPECT_NO_THROW(check("{}"));
  EXPECT_NO_THROW(check(R"({"tools": [], "functions": null, "tool_choice": "auto"})"));
  EXPECT_NO_THROW(check(R"({"tools": [{"type": "function"}], "tool_choice": "none"})"));
  EXPECT_NO_THROW(check(R"({"functions": [{}], "function_call": "none"})"));
  EXPECT_PARE_ERROR(check(R"({"tools": [{}]})"), ErrorCode::kUnsupported, "\"tools\" is not supported");
  EXPECT_PARE_ERROR(check(R"({"functions": [{}]})"), ErrorCode::kUnsupported, "\"functions\"");
  EXPECT_PARE_ERROR(check(R"({"tool_choice": {"type": "function"}})"), ErrorCode::kUnsupported,
                    "\"tool_choice\"");
}

}  // namespace
}  // namespace pare
