// Chat templates of the common families by name, for models that come without one.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "text/chat/chat_template.h"

namespace pare {

// A template of our own for conversations of that style.
struct ChatStyle {
  std::string_view name;
  std::string_view source;  // Jinja
  std::string_view mark;    // a special token that the style cannot do without; empty: none
};

// Throws kUsage naming the styles there are.
const ChatStyle& chat_style_named(std::string_view name);
// The template of that style, with these special tokens.
ChatTemplate chat_template_named(std::string_view name, std::map<std::string, std::string> tokens);
// "chatml, llama2, …"
std::string chat_style_names();

}  // namespace pare
