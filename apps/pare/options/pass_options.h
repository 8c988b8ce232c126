// The options of passes on the command line.
#pragma once

#include <CLI/CLI.hpp>

#include "compress/passes.h"

namespace pare {

// Adds the options of a pass. Given ones go to `values`, which the command's callbacks read.
void add_pass_options(CLI::App& command, const PassKind& kind, OptionValues& values);

}  // namespace pare
