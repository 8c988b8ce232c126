// The options of sampling and stopping.
#pragma once

#include <CLI/CLI.hpp>

#include "engine/generator.h"

namespace pare {

// --max-tokens, --temperature, --top-k, --top-p, --min-p, --repetition-penalty, --seed, --stop.
void add_generation(CLI::App& command, GenerateOptions& options);

}  // namespace pare
