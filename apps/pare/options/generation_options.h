// The options of sampling and stopping.
#pragma once

#include <CLI/CLI.hpp>

#include "engine/model_defaults.h"

namespace pare {

// Adds --temperature, --top-k, --top-p, --min-p, --repetition-penalty; `temperature`: default of models that
// give none, for --help.
void add_sampling(CLI::App& command, SamplingChoice& choice, double temperature);
// Adds the options of add_sampling, --max-tokens, --seed and --stop.
void add_generation(CLI::App& command, GenerationChoice& choice);

}  // namespace pare
