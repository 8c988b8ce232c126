// pare tokenize: text to token ids.
#include <memory>

#include "commands.h"
#include "model/load.h"
#include "options.h"
#include "output.h"
#include "text/text_file.h"

namespace pare {
namespace {

struct Options {
  std::string model;
  std::string file = "-";
  std::optional<std::string> text;
  bool special = true;
  bool json = false;
};

void run(const Options& options) {
  const Tokenizer tokenizer = load_tokenizer(options.model);
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
  command->add_option("-p,--prompt", options->text, "The text itself")->excludes(file);
  command->add_flag("!--no-special", options->special,
                    "Neither add BOS/EOS nor read special tokens written in the text");
  add_json(*command, options->json);
  command->callback([options] { run(*options); });
}

}  // namespace pare
