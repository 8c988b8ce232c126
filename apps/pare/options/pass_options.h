// The options of a pass on the command line and in a recipe.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "compress/pass.h"

namespace pare {

class PassOptions {
 public:
  virtual ~PassOptions() = default;
  virtual void add(CLI::App& command) = 0;
  // After parsing. Throws kUsage naming an option that is out of range or does not go with another.
  virtual std::unique_ptr<Pass> pass(const CLI::App& command) const = 0;
};

std::unique_ptr<PassOptions> slice_options();
std::unique_ptr<PassOptions> sparsify_options();

// Passes as text, separated by commas or lines: NAME:WHAT:option=value:…, where WHAT is the share of the
// parameters that goes (slice:0.1) or the pattern (sparsify:2:4), and options are the flags of the command of
// that name. Throws kUsage naming the pass and what is wrong with it.
Passes parse_recipe(const std::string& text);

}  // namespace pare
