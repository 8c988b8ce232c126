#include "engine/chat.h"

#include <algorithm>

namespace pare {
namespace {

// What an answer may take of the context before older turns are dropped for it.
constexpr int64_t kAnswerShare = 4;

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::span<const ChatPart> parts, bool continues) {
  std::vector<TextPart> texts;
  for (const ChatPart& part : parts) texts.push_back({part.text, part.kind == ChatPart::Kind::kTemplate});
  return tokenizer.encode_parts(texts, {.continues = continues});
}

std::string text_of(std::span<const ChatPart> parts) {
  std::string text;
  for (const ChatPart& part : parts) text += part.text;
  return text;
}

// Some templates write a space before an answer that the model writes itself.
std::string_view without_last_space(std::string_view text) {
  if (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// Drops the oldest turn, but not the last message.
bool drop_turn(std::vector<ChatMessage>& messages) {
  const auto first = messages.begin() + (messages.front().role == ChatRole::kSystem ? 1 : 0);
  if (messages.end() - first < 3) return false;
  messages.erase(first, first + 2);
  return true;
}

}  // namespace

std::vector<int32_t> encode_chat(const Tokenizer& tokenizer, const ChatFormat& format,
                                 const std::vector<ChatMessage>& messages) {
  return encode(tokenizer, render_chat(format.chat, format.tokens, messages), false);
}

void add_chat_ends(const Tokenizer& tokenizer, const ChatFormat& format, GenerateOptions& options) {
  for (const std::string& text : chat_stop_tokens(format.chat.style))
    if (const auto id = tokenizer.token_id(text)) options.stop_ids.push_back(*id);
  if (const auto eos = tokenizer.token_id(format.tokens.eos)) options.stop_ids.push_back(*eos);
  for (std::string& text : chat_stop_texts(format.chat.style)) options.stop.push_back(std::move(text));
}

TextSink answer_sink(TextSink sink) {
  return [sink = std::move(sink), begun = false](std::string_view text) mutable {
    if (!begun) text.remove_prefix(std::min(text.find_first_not_of(" \n"), text.size()));
    begun = begun || !text.empty();
    return text.empty() || sink(text);
  };
}

std::vector<std::string> missing_tokens(const Tokenizer& tokenizer, const ChatFormat& format) {
  std::vector<std::string> missing;
  const std::vector<std::string> ends = chat_stop_tokens(format.chat.style);
  if (!ends.empty() && !tokenizer.token_id(ends.front())) missing.push_back(ends.front());
  return missing;
}

ChatSession::ChatSession(const PackedModel& model, const Tokenizer& tokenizer, ChatFormat format,
                         ChatOptions options)
    : model_(model),
      tokenizer_(tokenizer),
      format_(std::move(format)),
      options_(std::move(options)),
      cache_(model, usable_context(options_.context, model.config)) {
  validate(options_.generate);
  if (!options_.system.empty()) messages_.push_back({ChatRole::kSystem, options_.system});
  add_chat_ends(tokenizer_, format_, options_.generate);
}

ChatSession::Prompt ChatSession::make_prompt(const std::vector<ChatMessage>& messages) const {
  const std::vector<ChatPart> parts = render_chat(format_.chat, format_.tokens, messages);
  const auto answer = std::find_if(parts.rbegin(), parts.rend(), [](const ChatPart& part) {
                        return part.kind == ChatPart::Kind::kAnswer;
                      }).base();
  // While nothing before the last answer changes, the ids that the model generated stay, and what follows
  // goes on from them.
  if (!ids_.empty() && answer != parts.begin() &&
      without_last_space(text_of({parts.begin(), answer - 1})) == without_last_space(written_)) {
    Prompt prompt = {ids_, cache_.length()};
    const std::vector<int32_t> rest = encode(tokenizer_, {answer, parts.end()}, true);
    prompt.ids.insert(prompt.ids.end(), rest.begin(), rest.end());
    return prompt;
  }
  Prompt prompt = {encode(tokenizer_, parts, false), 0};
  prompt.cached = std::min(common_prefix(prompt.ids, ids_), cache_.length());
  return prompt;
}

ChatTurn ChatSession::say(std::string_view message, const TextSink& sink) {
  ChatTurn turn;
  std::vector<ChatMessage> messages = messages_;
  messages.push_back({ChatRole::kUser, std::string(message)});
  const int64_t capacity = cache_.capacity();
  const int64_t reserve = std::min(options_.generate.max_tokens, capacity / kAnswerShare);
  Prompt prompt = make_prompt(messages);
  while (static_cast<int64_t>(prompt.ids.size()) + reserve > capacity && drop_turn(messages)) {
    ++turn.forgotten;
    prompt = make_prompt(messages);
  }
  if (static_cast<int64_t>(prompt.ids.size()) >= capacity)
    fail(ErrorCode::kInvalid, "the message makes {} tokens, the context has {}", prompt.ids.size(), capacity);
  // The last token's logits are needed, so it is always worked on.
  cache_.truncate(std::min<int64_t>(prompt.cached, static_cast<int64_t>(prompt.ids.size()) - 1));
  written_ = text_of(render_chat(format_.chat, format_.tokens, messages));
  ids_ = std::move(prompt.ids);
  const TextSink collect = answer_sink([&](std::string_view text) {
    turn.answer += text;
    return sink(text);
  });
  turn.generation = Generator(model_, tokenizer_).extend(ids_, cache_, options_.generate, collect);
  // A stop text is among the generated tokens, but no part of the conversation: the next turn writes it anew.
  if (turn.generation.finish == FinishReason::kStop) written_.clear();
  messages.push_back({ChatRole::kAssistant, turn.answer});
  messages_ = std::move(messages);
  return turn;
}

}  // namespace pare
