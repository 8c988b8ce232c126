#include "text/chat_template.h"

#include <array>

#include "base/error.h"

namespace pare {
namespace {

struct StyleName {
  ChatStyle style;
  std::string_view name;
};
constexpr std::array<StyleName, 9> kStyles = {{{ChatStyle::kChatMl, "chatml"},
                                               {ChatStyle::kLlama2, "llama2"},
                                               {ChatStyle::kLlama3, "llama3"},
                                               {ChatStyle::kMistralV1, "mistral-v1"},
                                               {ChatStyle::kMistralV3, "mistral-v3"},
                                               {ChatStyle::kMistralTekken, "mistral-tekken"},
                                               {ChatStyle::kPhi3, "phi3"},
                                               {ChatStyle::kPhi2, "phi2"},
                                               {ChatStyle::kZephyr, "zephyr"}}};

// The Jinja string literal whose text begins at `pos`, behind its quote: its value.
std::string literal_at(std::string_view jinja, size_t pos) {
  std::string value;
  if (pos == 0) return value;
  const char quote = jinja[pos - 1];
  if (quote != '\'' && quote != '"') return value;
  for (; pos < jinja.size() && jinja[pos] != quote; ++pos) {
    if (jinja[pos] != '\\' || pos + 1 == jinja.size()) {
      value.push_back(jinja[pos]);
      continue;
    }
    const char escaped = jinja[++pos];
    value.push_back(escaped == 'n' ? '\n' : escaped == 't' ? '\t' : escaped);
  }
  return value;
}

// The system message that a ChatML template writes when the conversation has none.
std::string default_system_of(std::string_view jinja) {
  constexpr std::string_view kOpen = "<|im_start|>system";
  constexpr std::string_view kClose = "<|im_end|>";
  for (size_t pos = jinja.find(kOpen); pos != std::string_view::npos; pos = jinja.find(kOpen, pos + 1)) {
    const std::string value = literal_at(jinja, pos);
    const size_t end = value.find(kClose);
    if (end != std::string::npos && value.size() > kOpen.size() && value[kOpen.size()] == '\n')
      return value.substr(kOpen.size() + 1, end - kOpen.size() - 1);
  }
  return {};
}

// The text behind `date_string = `, if the template sets one and does not ask for today's.
std::string date_of(std::string_view jinja) {
  constexpr std::string_view kSet = "date_string = ";
  const size_t pos = jinja.find(kSet);
  if (pos == std::string_view::npos || jinja.find("strftime_now") != std::string_view::npos) return {};
  return literal_at(jinja, pos + kSet.size() + 1);
}

std::optional<ChatStyle> style_of(std::string_view jinja) {
  const auto has = [&](std::string_view text) { return jinja.find(text) != std::string_view::npos; };
  // Templates that write, or leave out, a model's thoughts are more than any style here.
  if (has("<think>") || has("<|im_sep|>") || has("[SYSTEM_PROMPT]")) return std::nullopt;
  if (has("<|im_start|>")) return ChatStyle::kChatMl;
  if (has("<|start_header_id|>") && has("<|eot_id|>")) return ChatStyle::kLlama3;
  if (has("<|user|>") && has("<|end|>")) return ChatStyle::kPhi3;
  if (has("<|user|>") && has("eos_token")) return ChatStyle::kZephyr;
  if (has("Instruct: ") && has("Output:")) return ChatStyle::kPhi2;
  if (!has("[INST]")) return std::nullopt;
  if (has("<<SYS>>") || has("bos_token + '[INST]")) return ChatStyle::kLlama2;
  if (has("[INST] ")) return has(" [/INST]") ? ChatStyle::kMistralV1 : ChatStyle::kMistralV3;
  return ChatStyle::kMistralTekken;
}

}  // namespace

std::string chat_style_names() {
  std::string names;
  for (const StyleName& entry : kStyles) names.append(names.empty() ? "" : ", ").append(entry.name);
  return names;
}

std::string_view chat_style_name(ChatStyle style) {
  for (const StyleName& entry : kStyles)
    if (entry.style == style) return entry.name;
  return {};
}

ChatTemplate recognize_chat_template(std::string_view jinja) {
  const auto style = style_of(jinja);
  if (!style)
    fail(ErrorCode::kUnsupported, "the model's chat template is not one that pare knows ({})",
         chat_style_names());
  ChatTemplate chat;
  chat.style = *style;
  chat.writes_bos = jinja.find("bos_token") != std::string_view::npos;
  if (*style == ChatStyle::kChatMl) chat.default_system = default_system_of(jinja);
  chat.has_date =
      *style == ChatStyle::kLlama3 && jinja.find("Cutting Knowledge Date") != std::string_view::npos;
  if (chat.has_date) chat.date = date_of(jinja);
  return chat;
}

ChatTemplate chat_template_named(std::string_view name) {
  for (const StyleName& entry : kStyles) {
    if (entry.name != name) continue;
    const bool bos = entry.style != ChatStyle::kChatMl && entry.style != ChatStyle::kPhi2 &&
                     entry.style != ChatStyle::kZephyr;
    return {.style = entry.style, .writes_bos = bos, .default_system = {}, .has_date = false, .date = {}};
  }
  fail(ErrorCode::kUsage, "chat template \"{}\" is not known, expected one of {}", name, chat_style_names());
}

std::vector<std::string> chat_stop_tokens(ChatStyle style) {
  switch (style) {
    case ChatStyle::kChatMl:
      return {"<|im_end|>"};
    case ChatStyle::kLlama3:
      return {"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"};
    case ChatStyle::kPhi3:
      return {"<|end|>", "<|endoftext|>"};
    default:
      return {};
  }
}

std::vector<std::string> chat_stop_texts(ChatStyle style) {
  if (style == ChatStyle::kPhi2) return {"\nInstruct:"};
  return {};
}

}  // namespace pare
