#include "chat_format.h"

#include <ctime>

#include "base/log.h"

namespace pare {
namespace {

// "22 Nov 2026", in English whatever the locale.
std::string today() {
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = std::time(nullptr);
  std::tm date{};
  localtime_r(&now, &date);
  return fmt::format("{:02} {} {}", date.tm_mday, kMonths[date.tm_mon], date.tm_year + 1900);
}

ChatTemplate choose_template(const std::string& model, const std::string& name, const ChatInfo& info) {
  if (!name.empty()) return chat_template_named(name);
  if (info.chat_template.empty())
    fail(ErrorCode::kUnsupported, "{} has no chat template: name one with --chat-template ({})", model,
         chat_style_names());
  try {
    return recognize_chat_template(info.chat_template);
  } catch (const Error& error) {
    fail(error.code(), "{}: {}; --chat-template NAME chooses one", model, error.what());
  }
}

}  // namespace

void add_chat_template(CLI::App& command, std::string& name) {
  command.add_option(
      "--chat-template", name,
      "How the conversation is written, instead of the model's template: " + chat_style_names());
}

ModelChat read_model_chat(const std::string& model, const std::string& name, const Tokenizer& tokenizer) {
  ChatInfo info = read_chat_info(model, tokenizer);
  ChatTemplate chat = choose_template(model, name, info);
  if (chat.has_date && chat.date.empty()) chat.date = today();
  return {std::move(info), std::move(chat)};
}

ChatFormat chat_format(const ModelChat& chat, const Tokenizer& tokenizer, const ModelConfig& config) {
  int32_t bos = config.bos.value_or(-1);
  if (chat.info.bos) bos = *chat.info.bos;
  int32_t eos = config.eos.empty() ? -1 : config.eos.front();
  if (chat.info.eos) eos = *chat.info.eos;
  const auto text = [&](int32_t id) {
    return id >= 0 && id < tokenizer.vocab_size() ? tokenizer.token_bytes(id) : "";
  };
  ChatFormat format = {chat.chat, {text(bos), text(eos)}};
  for (const std::string& token : missing_tokens(tokenizer, format))
    log_warning("the tokenizer has no token {}: the template's marks are written as plain text", token);
  return format;
}

}  // namespace pare
