// pare inspect: what is in a model.
#include <memory>

#include "commands/commands.h"
#include "options/options.h"
#include "report/inspection.h"
#include "report/output.h"

namespace pare {
namespace {

struct Options {
  std::string model;
  bool json = false;
};

void run(const Options& options) {
  const Inspection inspection = inspect(options.model);
  if (options.json)
    print_json(to_json(inspection));
  else
    print(to_text(inspection));
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("inspect", "Show what is in a model and what would run it");
  add_model(*command, options->model);
  add_json(*command, options->json);
  command->callback([options] { run(*options); });
}

}  // namespace pare
