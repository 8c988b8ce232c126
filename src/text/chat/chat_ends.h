// Ends of an answer, read from a chat template.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/chat/chat_template.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

struct ChatEnds {
  std::vector<int32_t> ids;        // tokens
  std::vector<std::string> texts;  // for templates that write no token behind an answer
};

// The token that the template writes directly behind an answer, in the middle of a conversation and at its
// end, and EOS. Where there is none behind the answer, the text up to the next message of the user ends it
// ("\nInstruct:"). Found by writing a conversation, so a template that refuses it has EOS alone.
ChatEnds chat_ends(const ChatTemplate& chat, const Tokenizer& tokenizer);

}  // namespace pare
