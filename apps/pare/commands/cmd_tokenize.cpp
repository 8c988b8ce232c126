// pare tokenize: text to token ids.
#include <memory>

#include "checkpoint/load.h"
#include "commands/commands.h"
#include "options/chat_format.h"
#include "options/options.h"
#include "report/output.h"
#include "serve/api_messages.h"
#include "text/files/text_file.h"

namespace pare {
namespace {

struct Options {
  std::string model;
  std::string file = "-";
  std::optional<std::string> text;
  std::string chat;
  std::string template_name;
  std::string variables;
  bool special = true;
  bool json = false;
};

// Reads a list of messages, or the body of a request to the chat API, whose "tools" the template sees.
ChatInput read_chat_file(const Options& options) {
  Json body = parse_json(read_text(options.chat), options.chat);
  if (body.is_array()) body = Json::object({{"messages", std::move(body)}});
  if (!body.is_object())
    fail(ErrorCode::kFormat, "{}: neither messages nor the body of a request", options.chat);
  ChatInput input = read_chat_input(body);
  if (const auto tools = body.find("tools"); tools != body.end()) input.tools = *tools;
  const Json variables = parse_template_variables(options.variables);
  if (variables.is_object()) input.variables.update(variables);
  return input;
}

void run_chat(const Options& options, const Tokenizer& tokenizer) {
  const ChatFormat format =
      chat_format(read_chat_info(options.model, tokenizer), options.template_name, tokenizer);
  const std::vector<JinjaSpan> spans = format.chat.render(read_chat_file(options));
  const std::vector<int32_t> ids = encode_chat(tokenizer, spans);
  if (!options.json) {
    print_line("{}", fmt::join(ids, " "));
    return;
  }
  Json parts = Json::array();
  for (const JinjaSpan& span : spans)
    parts.push_back({{"text", span.text}, {"from_template", span.origin == kTemplateOrigin}});
  print_json({{"tokens", ids.size()},
              {"ids", ids},
              {"text", text_of(spans)},
              {"parts", parts},
              {"end_ids", format.ends.ids},
              {"end_texts", format.ends.texts}});
}

void run(const Options& options) {
  const Tokenizer tokenizer = load_tokenizer(options.model);
  if (!options.chat.empty()) return run_chat(options, tokenizer);
  const std::string text = options.text          ? *options.text
                           : options.file == "-" ? read_text("-")
                                                 : read_text_file(options.file);
  const std::vector<int32_t> ids = tokenizer.encode(text, {options.special, options.special});
  if (!options.json) {
    print_line("{}", fmt::join(ids, " "));
    return;
  }
  Json pieces = Json::array();
  for (const int32_t id : ids) pieces.push_back(tokenizer.token_bytes(id));
  print_json({{"tokens", ids.size()}, {"ids", ids}, {"pieces", pieces}});
}

}  // namespace

void add_tokenize(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("tokenize", "Print the token ids of a text");
  add_model(*command, options->model);
  auto* file = command->add_option("FILE", options->file,
                                   "Text file, gzip too (default: the standard input, as it is)");
  auto* text = command->add_option("-p,--prompt", options->text, "The text itself")->excludes(file);
  command
      ->add_option("--chat", options->chat,
                   "JSON file of messages, or of a request to the chat API: the ids of its prompt")
      ->excludes(file)
      ->excludes(text);
  add_chat_template(*command, options->template_name);
  add_template_variables(*command, options->variables);
  command->add_flag("!--no-special", options->special,
                    "Neither add BOS/EOS nor read special tokens written in the text");
  add_json(*command, options->json);
  command->callback([options] { run(*options); });
}

}  // namespace pare
