// pare report: a page about compressed models.
#include <memory>
#include <set>

#include "base/quantities.h"
#include "commands/commands.h"
#include "io/output_file.h"
#include "options/options.h"
#include "page/report_page.h"
#include "report/output.h"

namespace pare {
namespace {

struct Options {
  std::vector<std::string> models;
  std::string out;
  std::vector<std::string> eval;
  std::vector<std::string> bench;
};

void run(const Options& options) {
  if (std::set(options.models.begin(), options.models.end()).size() < options.models.size())
    fail(ErrorCode::kUsage, "a model is given twice");
  OutputText file(options.out);
  const std::vector<std::string> names = short_names(options.models);
  std::vector<ModelFacts> models;
  std::vector<MeasuredModel> measured;
  for (size_t i = 0; i < options.models.size(); ++i) {
    models.push_back(read_model_facts(options.models[i]));
    models.back().name = names[i];
    measured.push_back({options.models[i], names[i], models.back().size.bytes});
  }
  const std::string page = report_page(models, read_measurements(measured, options.eval, options.bench));
  file.commit(page);
  print_line("{} about {} models written to {}", format_bytes(static_cast<int64_t>(page.size())),
             models.size(), options.out);
}

}  // namespace

void add_report(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("report", "Write a page about compressed models, for a browser");
  command
      ->add_option("MODEL", options->models,
                   "Models: Hugging Face folders or .gguf files, which pare.json says more about")
      ->required();
  command->add_option("-o,--output", options->out, "A new file: the page, in HTML")->required();
  command
      ->add_option("--eval", options->eval,
                   "What `pare eval --json` has printed about the models; may be given several times")
      ->allow_extra_args(false);
  command
      ->add_option("--bench", options->bench,
                   "What `pare bench --json` has printed about the models; may be given several times")
      ->allow_extra_args(false);
  command->callback([options] { run(*options); });
}

}  // namespace pare
