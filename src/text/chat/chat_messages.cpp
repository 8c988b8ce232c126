#include "text/chat/chat_messages.h"

#include <algorithm>
#include <array>

#include "text/chat/chat_template.h"

namespace pare {
namespace {

constexpr size_t kMaxFields = 64;  // fields of a message; each is looked for one by one
constexpr std::array<const char*, 3> kThoughts = {"reasoning_content", "thinking", "reasoning"};

// The text of a part of a content, or null.
const Json* part_text(const Json& part) {
  if (part.is_string()) return &part;
  const auto it = part.find("text");
  return it != part.end() && it->is_string() ? &*it : nullptr;
}

void check_content(const Json& content, size_t index) {
  if (content.is_string()) return;
  if (!content.is_array())
    fail(ErrorCode::kFormat, "\"content\" of message {} is neither a text nor a list of parts", index + 1);
  for (const Json& part : content) {
    if (part.is_string()) continue;
    if (!part.is_object()) fail(ErrorCode::kFormat, "a part of message {} is not an object", index + 1);
    const std::string type = json_find<std::string>(part, "type", "message part").value_or("text");
    if (part_text(part) == nullptr)
      fail(ErrorCode::kUnsupported, "message {} has a part of the type \"{}\": only texts are supported",
           index + 1, type.substr(0, 40));
  }
}

Json checked_message(const Json& message, size_t index) {
  if (!message.is_object()) fail(ErrorCode::kFormat, "message {} is not an object", index + 1);
  const std::string what = fmt::format("message {}", index + 1);
  if (message.size() > kMaxFields)
    fail(ErrorCode::kInvalid, "{} has {} fields, expected at most {}", what, message.size(), kMaxFields);
  json_get<std::string>(message, "role", what);
  Json checked = Json::object();
  const auto thought = std::find_if(kThoughts.begin(), kThoughts.end(), [&](const char* name) {
    const auto it = message.find(name);
    return it != message.end() && !it->is_null();
  });
  if (thought != kThoughts.end()) checked["thinking"] = message.at(*thought);
  for (const auto& [key, value] : message.items())
    if (!value.is_null()) checked[key] = value;
  if (thought != kThoughts.end()) checked["reasoning_content"] = message.at(*thought);
  if (const auto it = checked.find("content"); it != checked.end()) check_content(*it, index);
  return checked;
}

}  // namespace

ChatEnding natural_ending(const Json& messages) {
  if (!messages.is_array() || messages.empty() || !messages.back().is_object()) return ChatEnding::kAnswer;
  const Json& last = messages.back();
  const auto role = last.find("role");
  const auto content = last.find("content");
  const bool goes_on = role != last.end() && *role == "assistant" && content != last.end() &&
                       (content->is_string() || (content->is_array() && !content->empty()));
  return goes_on ? ChatEnding::kContinued : ChatEnding::kAnswer;
}

Json checked_messages(const Json& messages) {
  if (!messages.is_array() || messages.empty())
    fail(ErrorCode::kFormat, "\"messages\" is not a list of messages");
  Json checked = Json::array();
  for (size_t i = 0; i < messages.size(); ++i) checked.push_back(checked_message(messages[i], i));
  return checked;
}

void join_parts(Json& messages) {
  for (Json& message : messages) {
    const auto content = message.find("content");
    if (content == message.end() || !content->is_array()) continue;
    std::string text;
    for (const Json& part : *content) {
      if (&part != &content->front()) text += '\n';
      text += part_text(part)->get_ref<const std::string&>();
    }
    *content = std::move(text);
  }
}

void wrap_texts(Json& messages) {
  for (Json& message : messages) {
    const auto content = message.find("content");
    if (content == message.end() || !content->is_string()) continue;
    Json part = {{"type", "text"}, {"text", std::move(*content)}};
    *content = Json::array({std::move(part)});
  }
}

void rename_role(Json& messages, std::string_view from, std::string_view to) {
  for (Json& message : messages)
    if (message.at("role") == from) message["role"] = to;
}

void parse_arguments(Json& messages) {
  for (Json& message : messages) {
    const auto calls = message.find("tool_calls");
    if (calls == message.end() || !calls->is_array()) continue;
    for (Json& call : *calls) {
      if (!call.is_object()) continue;
      const auto function = call.find("function");
      Json& holder = function != call.end() && function->is_object() ? *function : call;
      const auto arguments = holder.find("arguments");
      if (arguments == holder.end() || !arguments->is_string()) continue;
      try {
        Json parsed = parse_json(arguments->get_ref<const std::string&>(), "arguments");
        if (parsed.is_object()) *arguments = std::move(parsed);
      } catch (const Error&) {
        continue;  // text of a model that is no JSON stays as it is
      }
    }
  }
}

void append_to_last(Json& messages, std::string_view text) {
  const auto content = messages.back().find("content");
  if (content != messages.back().end()) {
    if (content->is_string()) {
      content->get_ref<std::string&>() += text;
      return;
    }
    for (auto part = content->rbegin(); part != content->rend(); ++part)
      if (part_text(*part) != nullptr) {
        (part->is_string() ? *part : part->at("text")).get_ref<std::string&>() += text;
        return;
      }
  }
  fail(ErrorCode::kInvalid, "the last message cannot be continued: it has no text");
}

bool add_missing_contents(Json& messages) {
  bool missing = false;
  for (Json& message : messages) {
    if (message.contains("content")) continue;
    message["content"] = "";
    missing = true;
  }
  return missing;
}

}  // namespace pare
