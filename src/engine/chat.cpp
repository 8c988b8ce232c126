#include "engine/chat.h"

#include <algorithm>

namespace pare {
namespace {

// An answer may take 1 / kAnswerShare of the context before older turns are dropped for it.
constexpr int64_t kAnswerShare = 4;

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::span<const JinjaSpan> spans, bool continues) {
  std::vector<TextPart> parts;
  for (const JinjaSpan& span : spans) parts.push_back({span.text, span.origin == kTemplateOrigin});
  return tokenizer.encode_parts(parts, {.continues = continues});
}

// Range of the spans of one message; empty where it has none.
struct SpanRange {
  size_t begin = 0;
  size_t end = 0;
};
SpanRange spans_of(const std::vector<JinjaSpan>& spans, int32_t origin) {
  SpanRange range;
  for (size_t i = 0; i < spans.size(); ++i) {
    if (spans[i].origin != origin) continue;
    if (range.end == 0) range.begin = i;
    range.end = i + 1;
  }
  return range;
}

// Leaves out a space that some templates write before an answer and that the model writes itself.
std::string_view without_last_space(std::string_view text) {
  if (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

Json message(const char* role, std::string_view content) {
  return Json::object({{"role", role}, {"content", std::string(content)}});
}

// Drops the oldest turn, but not the last message.
bool drop_turn(Json& messages) {
  const size_t first = messages.front().at("role") == "system" ? 1 : 0;
  if (messages.size() - first < 3) return false;
  messages.erase(first);
  messages.erase(first);
  return true;
}

}  // namespace

std::vector<int32_t> encode_chat(const Tokenizer& tokenizer, std::span<const JinjaSpan> spans) {
  return encode(tokenizer, spans, false);
}

void require_written(std::span<const JinjaSpan> spans) {
  if (text_of(spans).empty())
    fail(ErrorCode::kInvalid, "the chat template writes nothing for this conversation");
}

void add_chat_ends(const ChatFormat& format, GenerateOptions& options) {
  const ChatEnds& ends = format.ends;
  options.stop_ids.insert(options.stop_ids.end(), ends.ids.begin(), ends.ids.end());
  options.stop.insert(options.stop.end(), ends.texts.begin(), ends.texts.end());
}

TextSink answer_sink(TextSink sink) {
  return [sink = std::move(sink), begun = false](std::string_view text) mutable {
    if (!begun) text.remove_prefix(std::min(text.find_first_not_of(" \n"), text.size()));
    begun = begun || !text.empty();
    return text.empty() || sink(text);
  };
}

ChatSession::ChatSession(const PackedModel& model, const Tokenizer& tokenizer, ChatFormat format,
                         ChatOptions options)
    : model_(model),
      tokenizer_(tokenizer),
      format_(std::move(format)),
      options_(std::move(options)),
      cache_(model, usable_context(options_.context, model.config)) {
  validate(options_.generate);
  if (!options_.system.empty()) messages_.push_back(message("system", options_.system));
  add_chat_ends(format_, options_.generate);
}

ChatSession::Prompt ChatSession::make_prompt(const Json& messages) const {
  ChatInput input;
  input.messages = messages;
  input.variables = options_.variables;
  const std::vector<JinjaSpan> spans = format_.chat.render(input);
  require_written(spans);
  Prompt prompt = {text_of(spans), {}, 0};
  // While the template writes the last answer as it was generated, behind the same text, the ids that the
  // model generated stay, and what follows goes on from them.
  if (messages.size() > 2 && !ids_.empty()) {
    const size_t index = messages.size() - 2;
    const SpanRange answer = spans_of(spans, static_cast<int32_t>(index));
    const std::span<const JinjaSpan> all(spans);
    if (text_of(all.subspan(answer.begin, answer.end - answer.begin)) == messages[index].at("content") &&
        without_last_space(text_of(all.first(answer.begin))) == without_last_space(written_)) {
      prompt.ids = ids_;
      prompt.cached = cache_.length();
      const std::vector<int32_t> rest = encode(tokenizer_, all.subspan(answer.end), true);
      prompt.ids.insert(prompt.ids.end(), rest.begin(), rest.end());
      return prompt;
    }
  }
  prompt.ids = encode(tokenizer_, spans, false);
  prompt.cached = std::min(common_prefix(prompt.ids, ids_), cache_.length());
  return prompt;
}

ChatTurn ChatSession::say(std::string_view text, const TextSink& sink) {
  ChatTurn turn;
  Json messages = messages_;
  messages.push_back(pare::message("user", text));
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
  written_ = std::move(prompt.text);
  ids_ = std::move(prompt.ids);
  const TextSink collect = answer_sink([&](std::string_view piece) {
    turn.answer += piece;
    return sink(piece);
  });
  turn.generation = Generator(model_, tokenizer_).extend(ids_, cache_, options_.generate, collect);
  // A stop text is among the generated tokens, but no part of the conversation: the next turn writes it anew.
  if (turn.generation.finish == FinishReason::kStop) written_.clear();
  messages.push_back(pare::message("assistant", turn.answer));
  messages_ = std::move(messages);
  return turn;
}

}  // namespace pare
