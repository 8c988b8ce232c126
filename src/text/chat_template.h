// How conversations are written for models: the templates of the common families, in place of Jinja.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pare {

enum class ChatRole { kSystem, kUser, kAssistant };

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string text;
};

// A piece of a written conversation.
struct ChatPart {
  enum class Kind {
    kTemplate,  // special tokens in it are meant
    kMessage,   // what a person wrote: plain text
    kAnswer     // what the model wrote: plain text
  } kind = Kind::kTemplate;
  std::string text;
};

enum class ChatStyle {
  kChatMl,         // <|im_start|>user\n…<|im_end|>\n
  kLlama2,         // <s>[INST] <<SYS>>\n…\n<</SYS>>\n\n… [/INST] … </s>
  kLlama3,         // <|start_header_id|>user<|end_header_id|>\n\n…<|eot_id|>
  kMistralV1,      // <s>[INST] … [/INST]…</s>
  kMistralV3,      // <s>[INST] …[/INST] …</s>
  kMistralTekken,  // <s>[INST]…[/INST]…</s>
  kPhi3,           // <|user|>\n…<|end|>\n
  kPhi2,           // Instruct: …\nOutput:
  kZephyr          // <|user|>\n…</s>\n
};

struct ChatTemplate {
  ChatStyle style = ChatStyle::kChatMl;
  bool writes_bos = false;     // before the conversation (kLlama2: before every turn)
  std::string default_system;  // kChatMl: the system message of a conversation that has none
  bool has_date = false;       // kLlama3: a block with dates before the system message
  std::string date;            // of that block, as "26 Jul 2024"; empty: today, which the caller sets
};

// Recognises a Jinja template by the tokens in its text. Throws kUnsupported, naming the styles there are,
// for one that none of them writes.
ChatTemplate recognize_chat_template(std::string_view jinja);
// By name; throws kUsage naming the styles there are.
ChatTemplate chat_template_named(std::string_view name);
std::string_view chat_style_name(ChatStyle style);
// "chatml, llama2, …"
std::string chat_style_names();

// The texts of the two tokens, empty where the model has none.
struct ChatTokens {
  std::string bos;
  std::string eos;
};

// Writes a conversation that ends in a user's message, up to where the answer begins. Only the first message
// may be kSystem. Throws kInvalid when the roles do not alternate.
std::vector<ChatPart> render_chat(const ChatTemplate& chat, const ChatTokens& tokens,
                                  const std::vector<ChatMessage>& messages);

// What ends an answer beside the model's EOS: tokens, and texts for styles without such tokens.
std::vector<std::string> chat_stop_tokens(ChatStyle style);
std::vector<std::string> chat_stop_texts(ChatStyle style);

}  // namespace pare
