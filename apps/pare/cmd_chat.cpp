// pare chat: a conversation on the terminal, or of a file's lines.
#include <unistd.h>

#include <ctime>
#include <iostream>
#include <memory>

#include "base/log.h"
#include "commands.h"
#include "engine/chat.h"
#include "generation_options.h"
#include "model/copy_files.h"
#include "model/load.h"
#include "open_model.h"
#include "options.h"
#include "output.h"

namespace pare {
namespace {

constexpr int64_t kMaxContext = 1 << 24;

struct Options {
  std::string model;
  std::string template_name;
  ChatOptions chat;
  ComputeType compute = ComputeType::kBF16;
};

// "22 Nov 2026", in English whatever the locale.
std::string today() {
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = std::time(nullptr);
  std::tm date{};
  localtime_r(&now, &date);
  return fmt::format("{:02} {} {}", date.tm_mday, kMonths[date.tm_mon], date.tm_year + 1900);
}

ChatTemplate choose_template(const Options& options, const ChatInfo& info) {
  if (!options.template_name.empty()) return chat_template_named(options.template_name);
  if (info.chat_template.empty())
    fail(ErrorCode::kUnsupported, "{} has no chat template: name one with --chat-template ({})",
         options.model, chat_style_names());
  try {
    return recognize_chat_template(info.chat_template);
  } catch (const Error& error) {
    fail(error.code(), "{}: {}; --chat-template NAME chooses one", options.model, error.what());
  }
}

ChatTokens chat_tokens(const Tokenizer& tokenizer, const ChatInfo& info, const ModelConfig& config) {
  int32_t bos = config.bos.value_or(-1);
  if (info.bos) bos = *info.bos;
  int32_t eos = config.eos.empty() ? -1 : config.eos.front();
  if (info.eos) eos = *info.eos;
  const auto text = [&](int32_t id) {
    return id >= 0 && id < tokenizer.vocab_size() ? tokenizer.token_bytes(id) : "";
  };
  return {text(bos), text(eos)};
}

void report(const ChatTurn& turn) {
  const Generation& g = turn.generation;
  if (turn.forgotten > 0)
    log_warning("the context is full: the oldest {} turn{} of the conversation {} forgotten", turn.forgotten,
                turn.forgotten == 1 ? "" : "s", turn.forgotten == 1 ? "is" : "are");
  if (g.finish == FinishReason::kLength)
    log_warning("the answer was cut off after {} tokens", g.tokens.size());
}

void run(const Options& options) {
  validate(options.chat.generate);
  const Tokenizer tokenizer = load_tokenizer(options.model);
  const ChatInfo info = read_chat_info(options.model, tokenizer);
  ChatTemplate chat = choose_template(options, info);
  if (chat.has_date && chat.date.empty()) chat.date = today();
  const OpenModel model = open_model(options.model, options.compute);
  ChatSession session(model.packed, tokenizer, chat, chat_tokens(tokenizer, info, model.packed.config),
                      options.chat);
  for (const std::string& token : session.missing_tokens())
    log_warning("the tokenizer has no token {}: the template's marks are written as plain text", token);

  const bool terminal = isatty(STDIN_FILENO) == 1;
  if (terminal)
    log_info("chat template {}; an empty line or end of input ends the conversation",
             chat_style_name(chat.style));
  std::string line;
  while (true) {
    if (terminal) print("> ");
    if (!std::getline(std::cin, line)) break;
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) {
      if (terminal) return;
      continue;
    }
    const ChatTurn turn = session.say(line, [](std::string_view text) {
      print(text);
      return true;
    });
    print("\n");
    report(turn);
  }
  if (terminal) print("\n");
}

}  // namespace

void add_chat(CLI::App& app) {
  auto options = std::make_shared<Options>();
  ChatOptions& chat = options->chat;
  CLI::App* command =
      app.add_subcommand("chat", "Talk with a model: a message a line, from a terminal or a pipe");
  add_model(*command, options->model);
  command->add_option("--system", chat.system, "System message (default: the template's own, if it has one)");
  command->add_option(
      "--chat-template", options->template_name,
      "How the conversation is written, instead of the model's template: " + chat_style_names());
  command
      ->add_option("--context", chat.context,
                   "Tokens of conversation to remember; the oldest turns are dropped when it is full")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, kMaxContext));
  add_generation(*command, chat.generate);
  add_compute(*command, options->compute);
  command->callback([options] { run(*options); });
}

}  // namespace pare
