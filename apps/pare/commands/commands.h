// The subcommands: each adds itself to the application and runs from its callback. Errors are thrown. Those
// that can split their work over ranks keep a reference to `comm`.
#pragma once

#include <CLI/CLI.hpp>

#include "base/comm.h"

namespace pare {

void add_inspect(CLI::App& app);
void add_logits(CLI::App& app, Comm& comm);
void add_tokenize(CLI::App& app);
void add_generate(CLI::App& app, Comm& comm);
void add_chat(CLI::App& app);
void add_serve(CLI::App& app);
void add_eval(CLI::App& app, Comm& comm);
void add_bench(CLI::App& app, Comm& comm);
void add_report(CLI::App& app);
void add_convert(CLI::App& app);
// Adds a command for each pass.
void add_passes(CLI::App& app, Comm& comm);
void add_compress(CLI::App& app, Comm& comm);

}  // namespace pare
