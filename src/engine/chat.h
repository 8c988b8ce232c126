// A conversation with a model, turn by turn.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/generator.h"
#include "text/chat_template.h"

namespace pare {

struct ChatOptions {
  GenerateOptions generate;  // the template's own ends are added
  std::string system;        // empty: what the template says
  int64_t context = 4096;    // tokens of the whole conversation, at most the model's context
};

struct ChatTurn {
  std::string answer;
  Generation generation;  // prompt_tokens: those that were not in the cache already
  int64_t forgotten = 0;  // turns dropped from the start to make room
};

// Keeps the cache of keys and values between turns: a turn costs its own tokens. Texts of the user never
// become special tokens.
class ChatSession {
 public:
  // model and tokenizer must outlive the session. Throws kUsage for options out of range.
  ChatSession(const PackedModel& model, const Tokenizer& tokenizer, ChatTemplate chat, ChatTokens tokens,
              ChatOptions options);

  // The model's answer to a message. When the context is full, the oldest turns are dropped, the system
  // message stays. Throws kInvalid when the message alone does not fit; the conversation is then as before.
  ChatTurn say(std::string_view message, const TextSink& sink);

  // Special tokens of the template that the tokenizer does not have: they are written as plain text.
  std::vector<std::string> missing_tokens() const;

 private:
  // The conversation as ids, and how many of the cache's tokens begin it.
  struct Prompt {
    std::vector<int32_t> ids;
    int64_t cached = 0;
  };
  Prompt make_prompt(const std::vector<ChatMessage>& messages) const;

  const PackedModel& model_;
  const Tokenizer& tokenizer_;
  ChatTemplate chat_;
  ChatTokens tokens_;
  ChatOptions options_;
  std::vector<ChatMessage> messages_;  // up to the last answer
  std::string written_;                // the template's and the messages' text before that answer
  std::vector<int32_t> ids_;           // of all that, and of the answer as it was generated
  KvCache cache_;                      // of the first of them
};

}  // namespace pare
