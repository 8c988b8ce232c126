#include "text/chat/chat_template.h"

#include <algorithm>
#include <array>

#include "text/chat/chat_messages.h"
#include "text/jinja/fault.h"
#include "text/unicode/unicode.h"

namespace pare {
namespace {

constexpr JinjaLimits kLimits = {.steps = 4'000'000, .output_bytes = 16 << 20, .memory_bytes = 128 << 20};

constexpr std::string_view kContinueTag = "CONTINUE_FINAL_MESSAGE_TAG ";
constexpr std::string_view kContinueMark = "CONTINUE_FINAL_MESSAGE_TAG";

// Roles that templates know. They are trusted, for templates build special tokens of them; any other role is
// a text of the message.
constexpr std::array<std::string_view, 14> kRoles = {
    "system", "developer",   "user",  "assistant",   "tool",      "function",  "ipython",
    "model",  "observation", "tools", "environment", "documents", "tool_call", "tool_response"};

constexpr std::array<std::string_view, 5> kReserved = {"messages", "tools", "documents",
                                                       "add_generation_prompt", "continue_final_message"};

JinjaValue message_value(const Json& message, int32_t origin) {
  JinjaValue value = JinjaValue::from_json(message, origin);
  const auto& role = message.at("role").get_ref<const std::string&>();
  if (std::find(kRoles.begin(), kRoles.end(), role) != kRoles.end())
    value.set("role", JinjaValue::string(role));
  return value;
}

// White space to Python's rstrip().
std::string_view right_trimmed(std::string_view text) {
  size_t end = 0;
  for (size_t pos = 0; pos < text.size();) {
    const ClassedChar c = char_at(text, pos);
    pos += c.length;
    if ((c.classes & kSpace) == 0 && (c.code < 0x1c || c.code > 0x1f)) end = pos;
  }
  return text.substr(0, end);
}

void cut_behind(std::vector<JinjaSpan>& spans, size_t size) {
  for (size_t i = 0; i < spans.size(); ++i) {
    if (spans[i].text.size() < size) {
      size -= spans[i].text.size();
      continue;
    }
    spans[i].text.resize(size);
    spans.resize(size == 0 ? i : i + 1);
    return;
  }
}

// Ends the text where the mark in the last message stands, as transformers does.
void cut_at_mark(std::vector<JinjaSpan>& spans) {
  const std::string text = text_of(spans);
  const size_t mark = text.rfind(kContinueMark);
  if (mark == std::string::npos)
    fail(ErrorCode::kInvalid,
         "the last message cannot be continued: the model's chat template does not write its end");
  const bool keeps_space = std::string_view(text).substr(mark).starts_with(kContinueTag);
  const std::string_view before = std::string_view(text).substr(0, mark);
  cut_behind(spans, keeps_space ? mark : right_trimmed(before).size());
}

Json message(const char* role, Json content) {
  return Json::object({{"role", role}, {"content", std::move(content)}});
}

// A tool call and its result.
Json probe_call(Json arguments) {
  Json function = Json::object({{"name", "probe"}, {"arguments", std::move(arguments)}});
  Json call = Json::object({{"id", "probe0000"}, {"type", "function"}, {"function", std::move(function)}});
  Json answer = message("assistant", "");
  answer["tool_calls"] = Json::array({std::move(call)});
  Json result = message("tool", "probe");
  result["tool_call_id"] = "probe0000";
  result["name"] = "probe";
  return Json::array({message("user", "probe"), std::move(answer), std::move(result)});
}

}  // namespace

std::string text_of(std::span<const JinjaSpan> spans) {
  std::string text;
  for (const JinjaSpan& span : spans) text += span.text;
  return text;
}

ChatTemplate::Program ChatTemplate::parse(const std::string& source) {
  Program program;
  try {
    program.code = JinjaTemplate::parse(source);
  } catch (const Error& error) {
    program.error = error;
  }
  return program;
}

ChatTemplate::ChatTemplate(const std::map<std::string, std::string>& sources,
                           std::map<std::string, std::string> tokens)
    : tokens_(std::move(tokens)) {
  const auto main = sources.find("default");
  if (main == sources.end()) {
    std::string names;
    for (const auto& [name, source] : sources) names.append(names.empty() ? "" : ", ").append(name);
    fail(ErrorCode::kUnsupported, "none of the model's chat templates ({}) is called default", names);
  }
  default_.code = JinjaTemplate::parse(main->second);
  default_.needs = probe(*default_.code);
  const auto tools = sources.find("tool_use");
  if (tools == sources.end()) return;
  tool_use_ = parse(tools->second);
  if (tool_use_->code) tool_use_->needs = probe(*tool_use_->code);
}

const ChatTemplate::Program& ChatTemplate::program_for(const ChatInput& input) const {
  if (input.tools.is_null() || !tool_use_) return default_;
  if (tool_use_->error) throw Error(*tool_use_->error);
  return *tool_use_;
}

ChatTemplate::Needs ChatTemplate::probe(const JinjaTemplate& code) const {
  constexpr const char* kText = "PROBE";
  // Returns what the template writes for messages; empty where it refuses.
  const auto written = [&](const Json& messages) -> std::string {
    try {
      return text_of(run(code, messages, {}));
    } catch (const Error&) {
      return {};
    }
  };
  // A list that is printed as it is shows its keys.
  const auto writes = [&](const Json& content) {
    const std::string text = written(Json::array({message("user", content)}));
    const auto has = [&](std::string_view part) { return text.find(part) != std::string::npos; };
    return has(kText) && !has("'type'") && !has("\"type\"");
  };
  const auto writes_call = [&](const Json& arguments, std::string_view as) {
    return written(probe_call(arguments)).find(as) != std::string::npos;
  };
  Needs needs;
  needs.takes_parts = writes(Json::array({Json::object({{"type", "text"}, {"text", kText}})}));
  needs.takes_text = !needs.takes_parts || writes(kText);
  needs.takes_developer =
      written(Json::array({message("developer", kText), message("user", "a")})).find(kText) !=
      std::string::npos;
  const std::string arguments = "{\"probed\": 1}";
  needs.parses_arguments =
      !writes_call(arguments, arguments) && writes_call(Json::object({{"probed", 1}}), "probed");
  return needs;
}

JinjaValue ChatTemplate::variables_of(const Json& messages, const ChatInput& input) const {
  const auto count = static_cast<int32_t>(messages.size());
  JinjaValue variables = JinjaValue::dict();
  for (const auto& [name, text] : tokens_) variables.set(name, JinjaValue::string(text));
  if (input.variables.is_object())
    for (const auto& [name, value] : input.variables.items()) {
      if (std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end())
        fail(ErrorCode::kInvalid, "the variable \"{}\" of the chat template cannot be given", name);
      variables.set(name, JinjaValue::from_json(value, count + 2));
    }
  std::vector<JinjaValue> list;
  for (int32_t i = 0; i < count; ++i) list.push_back(message_value(messages[static_cast<size_t>(i)], i));
  variables.set("messages", JinjaValue::list(std::move(list)));
  variables.set("tools", JinjaValue::from_json(input.tools, count));
  variables.set("documents", JinjaValue::from_json(input.documents, count + 1));
  variables.set("add_generation_prompt", JinjaValue::boolean(input.ending == ChatEnding::kAnswer));
  return variables;
}

std::vector<JinjaSpan> ChatTemplate::run(const JinjaTemplate& code, const Json& messages,
                                         const ChatInput& input) const {
  const JinjaMeter meter(size_t{kLimits.memory_bytes}, size_t{kLimits.steps});  // for the variables
  try {
    return code.render(variables_of(messages, input), {.limits = kLimits, .now = input.now});
  } catch (const JinjaFault& fault) {
    throw Error(fault.code, fault.message);
  }
}

std::vector<JinjaSpan> ChatTemplate::render(const ChatInput& input) const {
  const Program& program = program_for(input);
  Json messages = checked_messages(input.messages);
  if (!program.needs.takes_developer) rename_role(messages, "developer", "system");
  if (program.needs.parses_arguments) parse_arguments(messages);
  if (!program.needs.takes_parts)
    join_parts(messages);
  else if (!program.needs.takes_text)
    wrap_texts(messages);
  if (input.ending == ChatEnding::kContinued) append_to_last(messages, kContinueTag);
  std::vector<JinjaSpan> spans;
  try {
    spans = run(*program.code, messages, input);
  } catch (const Error&) {
    // Templates that add contents to texts fail where there is none.
    if (!add_missing_contents(messages)) throw;
    spans = run(*program.code, messages, input);
  }
  if (input.ending == ChatEnding::kContinued) cut_at_mark(spans);
  return spans;
}

}  // namespace pare
