#include "serve/api_messages.h"

#include <string>

#include "serve/api_fields.h"

namespace pare {
namespace {

Json read_messages(const Json& body) {
  const Json& list = field(body, "messages");
  if (!list.is_array() || list.empty()) fail(ErrorCode::kFormat, "\"messages\" is not a list of messages");
  if (static_cast<int64_t>(list.size()) > kMaxMessages)
    fail(ErrorCode::kInvalid, "\"messages\" has {} messages, expected at most {}", list.size(), kMaxMessages);
  return list;
}

Json read_variables(const Json& body) {
  const Json& given = field(body, "chat_template_kwargs");
  if (!given.is_null() && !given.is_object())
    fail(ErrorCode::kFormat, "\"chat_template_kwargs\" is not an object");
  Json variables = given.is_null() ? Json::object() : given;
  if (const auto effort = json_find<std::string>(body, "reasoning_effort", kRequest))
    variables.emplace("reasoning_effort", *effort);
  return variables;
}

Json read_documents(const Json& body) {
  const Json& documents = field(body, "documents");
  if (!documents.is_null() && !documents.is_array()) fail(ErrorCode::kFormat, "\"documents\" is not a list");
  return documents;
}

ChatEnding read_ending(const Json& body, const Json& messages) {
  const auto prompt = json_find<bool>(body, "add_generation_prompt", kRequest);
  const bool continues = json_find<bool>(body, "continue_final_message", kRequest).value_or(false);
  if (continues && prompt.value_or(false))
    fail(ErrorCode::kInvalid, "\"continue_final_message\" and \"add_generation_prompt\" exclude each other");
  if (continues) return ChatEnding::kContinued;
  if (prompt) return *prompt ? ChatEnding::kAnswer : ChatEnding::kClosed;
  return field(body, "continue_final_message").is_null() ? natural_ending(messages) : ChatEnding::kAnswer;
}

}  // namespace

ChatInput read_chat_input(const Json& body) {
  if (!field(body, "chat_template").is_null())
    fail(ErrorCode::kUnsupported, "\"chat_template\" is not supported: the model's own is used");
  ChatInput input;
  input.messages = read_messages(body);
  input.documents = read_documents(body);
  input.variables = read_variables(body);
  input.ending = read_ending(body, input.messages);
  return input;
}

void refuse_tools(const Json& body) {
  const auto given = [&](const char* key) {
    return !field(body, key).is_null() && !field(body, key).empty();
  };
  for (const auto& [tools, choice] : {std::pair{"tools", "tool_choice"}, {"functions", "function_call"}}) {
    const Json& chosen = field(body, choice);
    const bool wanted = !chosen.is_null() && chosen != "none" && chosen != "auto";
    if (wanted || (given(tools) && chosen != "none"))
      fail(ErrorCode::kUnsupported, "\"{}\" is not supported, but for a \"{}\" of \"none\"",
           wanted && !given(tools) ? choice : tools, choice);
  }
}

}  // namespace pare
