// A conversation with a model, turn by turn.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/generator.h"
#include "text/chat/chat_ends.h"
#include "text/chat/chat_template.h"

namespace pare {

// Template of a model's conversations, and the ends of its answers.
struct ChatFormat {
  ChatFormat(ChatTemplate written, const Tokenizer& tokenizer)
      : chat(std::move(written)), ends(chat_ends(chat, tokenizer)) {}

  ChatTemplate chat;
  ChatEnds ends;
};

// Encodes a written conversation. Special tokens are read in the template's parts alone.
std::vector<int32_t> encode_chat(const Tokenizer& tokenizer, std::span<const JinjaSpan> spans);
// Throws kInvalid when a template has written nothing: an answer would have nothing to do with the
// conversation.
void require_written(std::span<const JinjaSpan> spans);
// Adds the ends of an answer in this format.
void add_chat_ends(const ChatFormat& format, GenerateOptions& options);
// Leaves out the white space before an answer, which is the template's.
TextSink answer_sink(TextSink sink);

struct ChatOptions {
  GenerateOptions generate;  // the template's own ends are added
  std::string system;        // system message; empty: that of the template
  Json variables;            // further variables of the template: an object, or null
  int64_t context = 4096;    // tokens of the whole conversation, at most the model's context
};

struct ChatTurn {
  std::string answer;
  Generation generation;  // prompt_tokens: tokens that were not in the cache already
  int64_t forgotten = 0;  // turns dropped from the start to make room
};

// Keeps the cache of keys and values between turns: a turn costs only its own tokens. Texts of the user never
// become special tokens.
class ChatSession {
 public:
  // model and tokenizer must outlive the session. Throws kUsage for options out of range.
  ChatSession(const PackedModel& model, const Tokenizer& tokenizer, ChatFormat format, ChatOptions options);

  // Returns the model's answer to a message. When the context is full, the oldest turns are dropped; the
  // system message stays. Throws kInvalid when the message alone does not fit, and as the template does; the
  // conversation is then as before.
  ChatTurn say(std::string_view text, const TextSink& sink);

 private:
  // A conversation as ids; the cache holds the first `cached` of them.
  struct Prompt {
    std::string text;
    std::vector<int32_t> ids;
    int64_t cached = 0;
  };
  Prompt make_prompt(const Json& messages) const;

  const PackedModel& model_;
  const Tokenizer& tokenizer_;
  ChatFormat format_;
  ChatOptions options_;
  Json messages_ = Json::array();  // messages up to the last answer
  std::string written_;            // text before the last answer
  std::vector<int32_t> ids_;       // ids of written_ and of the answer as it was generated
  KvCache cache_;                  // holds the first of ids_
};

}  // namespace pare
