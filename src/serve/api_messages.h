// Conversation of a chat request, as the model's template takes it.
#pragma once

#include "base/json.h"
#include "text/chat/chat_template.h"

namespace pare {

inline constexpr int64_t kMaxMessages = 10000;  // messages of a conversation

// Reads "messages", "documents", "chat_template_kwargs", "reasoning_effort" (a variable of that name),
// "add_generation_prompt" and "continue_final_message". Without the last two a text of the assistant in the
// last message is continued, and else an answer begun. "tools" are not read: refuse_tools. Throws kFormat,
// kInvalid and kUnsupported naming the field.
ChatInput read_chat_input(const Json& body);

// Throws kUnsupported where a request wants tools to be called. Tools that may not be ("tool_choice" of
// "none") are no reason: the model is then not shown them.
void refuse_tools(const Json& body);

}  // namespace pare
