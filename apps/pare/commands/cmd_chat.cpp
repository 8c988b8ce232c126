// pare chat: a conversation on the terminal, or of a file's lines.
#include <unistd.h>

#include <iostream>
#include <memory>

#include "base/log.h"
#include "base/named_errors.h"
#include "checkpoint/load.h"
#include "commands/commands.h"
#include "engine/chat.h"
#include "engine/open_model.h"
#include "options/chat_format.h"
#include "options/generation_options.h"
#include "options/options.h"
#include "report/messages.h"
#include "report/output.h"

namespace pare {
namespace {

struct Options {
  std::string model;
  std::string template_name;
  std::string variables;
  ChatOptions chat;  // all but the options in `generate`
  GenerationChoice generate;
  ComputeType compute = ComputeType::kStored;
};

void report(const ChatTurn& turn) {
  const Generation& g = turn.generation;
  if (turn.forgotten > 0)
    log_warning("the context is full: the oldest {} turn{} of the conversation {} forgotten", turn.forgotten,
                turn.forgotten == 1 ? "" : "s", turn.forgotten == 1 ? "is" : "are");
  if (g.finish == FinishReason::kLength)
    log_warning("the answer was cut off after {} tokens", g.tokens.size());
}

void run(const Options& options) {
  // Reports wrong options before a model is opened.
  options.generate.over({});
  ChatOptions chat = options.chat;
  chat.variables = parse_template_variables(options.variables);
  const Tokenizer tokenizer = load_tokenizer(options.model);
  const ChatInfo info = read_chat_info(options.model, tokenizer);
  ChatFormat format =
      naming(options.model, [&] { return chat_format(info, options.template_name, tokenizer); });
  const OpenModel model = open_model(options.model, options.compute);
  const ModelDefaults defaults = model_defaults(options.model, info);
  chat.generate = options.generate.over(defaults.options);
  log_defaults(defaults, chat.generate.sampling);
  ChatSession session(model.packed, tokenizer, std::move(format), std::move(chat));

  repeat_warnings();
  const bool terminal = isatty(STDIN_FILENO) == 1;
  if (terminal) log_info("an empty line or end of input ends the conversation");
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
  add_chat_template(*command, options->template_name);
  add_template_variables(*command, options->variables);
  command
      ->add_option("--context", chat.context,
                   "Tokens of conversation to remember; the oldest turns are dropped when it is full")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, kMaxContext));
  add_generation(*command, options->generate);
  add_compute(*command, options->compute);
  command->callback([options] { run(*options); });
}

}  // namespace pare
