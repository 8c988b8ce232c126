// Writing conversations, style by style, as the families' Jinja templates do.
#include "base/error.h"
#include "text/chat_template.h"
#include "text/unicode.h"

namespace pare {
namespace {

// White space to Python, whose strip() the templates call.
bool is_white(const ClassedChar& c) {
  return (c.classes & kSpace) != 0 || (c.code >= 0x1c && c.code <= 0x1f);
}

std::string_view right_trimmed(std::string_view text) {
  size_t end = 0;
  for (size_t pos = 0; pos < text.size();) {
    const ClassedChar c = char_at(text, pos);
    pos += c.length;
    if (!is_white(c)) end = pos;
  }
  return text.substr(0, end);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_white(char_at(text, 0))) text.remove_prefix(char_at(text, 0).length);
  return right_trimmed(text);
}

std::string_view role_name(ChatRole role) {
  return role == ChatRole::kSystem ? "system" : role == ChatRole::kUser ? "user" : "assistant";
}

// Parts with neighbours of one kind joined.
class Writer {
 public:
  explicit Writer(const ChatTokens& tokens) : tokens_(tokens) {}
  void text(std::string_view text) { add(ChatPart::Kind::kTemplate, text); }
  void bos() { text(tokens_.bos); }
  void eos() { text(tokens_.eos); }
  void message(std::string_view text) { add(ChatPart::Kind::kMessage, text); }
  void content(const ChatMessage& message, std::string_view text) {
    add(message.role == ChatRole::kAssistant ? ChatPart::Kind::kAnswer : ChatPart::Kind::kMessage, text);
  }
  std::vector<ChatPart> take() { return std::move(parts_); }

 private:
  void add(ChatPart::Kind kind, std::string_view text) {
    // An answer stays a part of its own even when it is empty: what stands behind it is found by it.
    if (text.empty() && kind != ChatPart::Kind::kAnswer) return;
    if (!parts_.empty() && parts_.back().kind == kind && kind != ChatPart::Kind::kAnswer)
      parts_.back().text.append(text);
    else
      parts_.push_back({kind, std::string(text)});
  }

  const ChatTokens& tokens_;
  std::vector<ChatPart> parts_;
};

void write_chatml(const ChatTemplate& chat, const std::vector<ChatMessage>& messages, Writer& out) {
  const auto open = [&](ChatRole role) {
    out.text("<|im_start|>");
    out.text(role_name(role));
    out.text("\n");
  };
  if (messages.front().role != ChatRole::kSystem && !chat.default_system.empty()) {
    open(ChatRole::kSystem);
    out.text(chat.default_system + "<|im_end|>\n");
  }
  for (const ChatMessage& message : messages) {
    open(message.role);
    out.content(message, message.text);
    out.text("<|im_end|>\n");
  }
  open(ChatRole::kAssistant);
}

void write_llama3(const ChatTemplate& chat, const std::vector<ChatMessage>& messages, Writer& out) {
  const auto open = [&](ChatRole role) {
    out.text("<|start_header_id|>");
    out.text(role_name(role));
    out.text("<|end_header_id|>\n\n");
  };
  const auto write_dates = [&] {
    out.text("Cutting Knowledge Date: December 2023\nToday Date: " + chat.date + "\n\n");
  };
  if (chat.has_date && messages.front().role != ChatRole::kSystem) {
    open(ChatRole::kSystem);
    write_dates();
    out.text("<|eot_id|>");
  }
  for (const ChatMessage& message : messages) {
    open(message.role);
    if (chat.has_date && message.role == ChatRole::kSystem) write_dates();
    out.content(message, trimmed(message.text));
    out.text("<|eot_id|>");
  }
  open(ChatRole::kAssistant);
}

void write_llama2(const ChatTemplate& chat, const std::vector<ChatMessage>& messages, Writer& out) {
  std::optional<std::string_view> system;
  for (const ChatMessage& message : messages) {
    if (message.role == ChatRole::kSystem) {
      system = message.text;
    } else if (message.role == ChatRole::kAssistant) {
      out.text(" ");
      out.content(message, trimmed(message.text));
      out.text(" ");
      out.eos();
    } else {
      if (chat.writes_bos) out.bos();
      out.text("[INST] ");
      if (system) {
        out.text("<<SYS>>\n");
        out.message(*system);
        out.text("\n<</SYS>>");
        if (!trimmed(message.text).empty()) out.text("\n\n");
      }
      // The template strips the two together: white space before the user's text stays.
      out.message(system ? right_trimmed(message.text) : trimmed(message.text));
      out.text(" [/INST]");
      system.reset();
    }
  }
}

void write_mistral(ChatStyle style, const std::vector<ChatMessage>& messages, Writer& out) {
  const bool v1 = style == ChatStyle::kMistralV1;
  const bool tekken = style == ChatStyle::kMistralTekken;
  const ChatMessage* system = messages.front().role == ChatRole::kSystem ? &messages.front() : nullptr;
  // The first version has no system message: it goes before the first user's text, later before the last.
  const ChatMessage* bearer = !system ? nullptr : v1 ? &messages[1] : &messages.back();
  for (const ChatMessage& message : messages) {
    if (message.role == ChatRole::kAssistant) {
      if (style == ChatStyle::kMistralV3) out.text(" ");
      out.content(message, style == ChatStyle::kMistralV3 ? trimmed(message.text) : message.text);
      out.eos();
    } else if (message.role == ChatRole::kUser) {
      out.text(tekken ? "[INST]" : "[INST] ");
      if (&message == bearer) {
        out.message(system->text);
        out.text("\n\n");
      }
      out.message(message.text);
      out.text(v1 ? " [/INST]" : "[/INST]");
    }
  }
}

// <|role|>\n…END\n
void write_role_tags(const std::vector<ChatMessage>& messages, std::string_view end, Writer& out) {
  const auto open = [&](ChatRole role) {
    out.text("<|");
    out.text(role_name(role));
    out.text("|>\n");
  };
  for (const ChatMessage& message : messages) {
    open(message.role);
    out.content(message, message.text);
    out.text(end);
    out.text("\n");
  }
  open(ChatRole::kAssistant);
}

void write_phi2(const std::vector<ChatMessage>& messages, Writer& out) {
  for (const ChatMessage& message : messages) {
    if (message.role == ChatRole::kUser) out.text("Instruct: ");
    if (message.role == ChatRole::kAssistant) out.text(" ");
    out.content(message, trimmed(message.text));
    out.text(message.role == ChatRole::kUser ? "\nOutput:" : "\n");
  }
}

void check_roles(const std::vector<ChatMessage>& messages) {
  const size_t first = !messages.empty() && messages.front().role == ChatRole::kSystem ? 1 : 0;
  for (size_t i = first; i < messages.size(); ++i)
    if (messages[i].role != ((i - first) % 2 == 0 ? ChatRole::kUser : ChatRole::kAssistant))
      fail(ErrorCode::kInvalid,
           "message {} of the conversation is from \"{}\": user and assistant must alternate", i + 1,
           role_name(messages[i].role));
  if (messages.size() == first || messages.back().role != ChatRole::kUser)
    fail(ErrorCode::kInvalid, "the conversation does not end in a message of the user");
}

}  // namespace

std::vector<ChatPart> render_chat(const ChatTemplate& chat, const ChatTokens& tokens,
                                  const std::vector<ChatMessage>& messages) {
  check_roles(messages);
  Writer out(tokens);
  if (chat.writes_bos && chat.style != ChatStyle::kLlama2) out.bos();
  switch (chat.style) {
    case ChatStyle::kChatMl:
      write_chatml(chat, messages, out);
      break;
    case ChatStyle::kLlama2:
      write_llama2(chat, messages, out);
      break;
    case ChatStyle::kLlama3:
      write_llama3(chat, messages, out);
      break;
    case ChatStyle::kMistralV1:
    case ChatStyle::kMistralV3:
    case ChatStyle::kMistralTekken:
      write_mistral(chat.style, messages, out);
      break;
    case ChatStyle::kPhi3:
      write_role_tags(messages, "<|end|>", out);
      break;
    case ChatStyle::kZephyr:
      write_role_tags(messages, tokens.eos, out);
      break;
    case ChatStyle::kPhi2:
      write_phi2(messages, out);
      break;
  }
  return out.take();
}

}  // namespace pare
