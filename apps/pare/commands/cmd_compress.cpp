// pare slice, sparsify and compress: one pass, or several, over a model.
#include <filesystem>
#include <memory>
#include <optional>

#include "base/words.h"
#include "checkpoint/load.h"
#include "commands/commands.h"
#include "compress/quantize/quantize_pass.h"
#include "compression.h"
#include "options/options.h"
#include "options/pass_options.h"

namespace pare {
namespace {

void add_pass(CLI::App& app, Comm& comm, const PassKind& kind) {
  auto request = std::make_shared<CompressionRequest>();
  auto values = std::make_shared<OptionValues>(OptionValues::object());
  CLI::App* command = app.add_subcommand(kind.name, kind.help);
  add_compression_paths(*command, *request);
  add_pass_options(*command, kind, *values);
  add_compression_options(*command, *request, !kind.chooses_storage);
  command->callback([request, values, &kind, &comm] {
    Passes passes;
    passes.push_back(kind.make(*values));
    compress(*request, passes, comm);
  });
}

}  // namespace

void add_passes(CLI::App& app, Comm& comm) {
  for (const PassKind& kind : pass_kinds()) add_pass(app, comm, kind);
}

// Quantize with the options that make a budget.
PassKind budget_kind() {
  PassKind kind = quantize_kind();
  kind.options = budget_options();
  return kind;
}

// Returns the one pass that meets a budget. A GGUF file is for llama.cpp unless that is said otherwise.
Passes budget_passes(const PassKind& kind, OptionValues values, const std::string& out) {
  if (is_gguf_path(out) && !values.contains("loadable")) values["loadable"] = "llama.cpp";
  Passes passes;
  passes.push_back(kind.make(values));
  return passes;
}

void add_compress(CLI::App& app, Comm& comm) {
  auto request = std::make_shared<CompressionRequest>();
  auto recipe = std::make_shared<std::optional<std::string>>();
  auto values = std::make_shared<OptionValues>(OptionValues::object());
  static const PassKind kBudget = budget_kind();
  std::vector<std::string> commands;
  for (const PassKind& kind : pass_kinds()) commands.push_back("pare " + kind.name);
  CLI::App* command =
      app.add_subcommand("compress", "Run several passes over a model, or meet a budget of bytes or speed");
  add_compression_paths(*command, *request);
  command->add_option(
      "--recipe", *recipe,
      "Passes in order, e.g. slice:0.1:uniform,sparsify:2:4:method=sparsegpt, or a file with one a line; "
      "slice:0.1 takes a tenth of the parameters; options are those of " +
          listed(commands) + ", each as name=value, a switch as untie or keep-tie=no");
  add_pass_options(*command, kBudget, *values);
  add_compression_options(*command, *request);
  command->callback([request, recipe, values, &comm] {
    if (!*recipe && values->empty())
      fail(ErrorCode::kUsage,
           "compress takes either `recipe` or `target_bytes` (or `target_ratio`, `target_decode`)");
    if (*recipe && !values->empty())
      fail(ErrorCode::kUsage,
           "`{}` is of a budget, not of `recipe`, where it stands behind quantize: quantize:{}=…",
           values->begin().key(), values->begin().key());
    if (!*recipe) return compress(*request, budget_passes(kBudget, *values, request->options.out), comm);
    std::error_code error;
    const bool file = std::filesystem::is_regular_file(**recipe, error);
    compress(*request, parse_recipe(file ? read_text(**recipe) : **recipe), comm);
  });
}

}  // namespace pare
