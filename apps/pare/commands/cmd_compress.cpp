// pare slice, sparsify and compress: one pass, or several, over a model.
#include <filesystem>
#include <memory>

#include "commands/commands.h"
#include "compression.h"
#include "options/options.h"
#include "options/pass_options.h"

namespace pare {
namespace {

void add_pass(CLI::App& app, Comm& comm, const char* name, const char* description,
              std::unique_ptr<PassOptions> pass_options) {
  auto common = std::make_shared<CompressionOptions>();
  std::shared_ptr<PassOptions> options = std::move(pass_options);
  CLI::App* command = app.add_subcommand(name, description);
  add_compression_paths(*command, *common);
  options->add(*command);
  add_compression_options(*command, *common);
  command->callback([command, common, options, &comm] {
    Passes passes;
    passes.push_back(options->pass(*command));
    run_compression(*common, passes, comm);
  });
}

}  // namespace

void add_slice(CLI::App& app, Comm& comm) {
  add_pass(app, comm, "slice", "Cut the width of a model's streams, without training", slice_options());
}

void add_sparsify(CLI::App& app, Comm& comm) {
  add_pass(app, comm, "sparsify", "Make a model's linears N:M sparse, without training", sparsify_options());
}

void add_compress(CLI::App& app, Comm& comm) {
  auto common = std::make_shared<CompressionOptions>();
  auto recipe = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("compress", "Run several passes over a model");
  add_compression_paths(*command, *common);
  command
      ->add_option(
          "--recipe", *recipe,
          "Passes in order, e.g. slice:0.1:uniform,sparsify:2:4:method=sparsegpt, or a file with one a line; "
          "slice:0.1 takes a tenth of the parameters; options are those of pare slice and pare sparsify")
      ->required();
  add_compression_options(*command, *common);
  command->callback([common, recipe, &comm] {
    std::error_code error;
    const bool file = std::filesystem::is_regular_file(*recipe, error);
    run_compression(*common, parse_recipe(file ? read_text(*recipe) : *recipe), comm);
  });
}

}  // namespace pare
