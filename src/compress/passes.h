// The table of passes, which commands, recipes, rules of ranks, help and reports read.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "compress/pass.h"
#include "compress/pass_options.h"

namespace pare {

struct PassKind {
  std::string name;  // name of its command and in recipes: "slice"
  std::string help;  // one line about what the command does
  std::vector<PassOption> options;
  // Makes the pass with these options and defaults for the others. Throws kUsage naming an option that is
  // out of range or does not go with another.
  std::function<std::unique_ptr<Pass>(const OptionValues& values)> make;
  // Returns the options for the short form behind the name in a recipe: 0.1 in slice:0.1. Throws kUsage.
  std::function<OptionValues(const std::string& text)> short_form;
  std::vector<std::string> short_words = {};  // words that the short form may be, beside numbers
  bool chooses_storage = false;               // true: its own options say how the result is stored
  bool on_ranks = true;                       // false: it runs in one process only
  std::string entries;                        // kind of its entries in a report
  // Returns a line about its entries, of which there is at least one; empty: no line is printed.
  std::function<std::string(const std::vector<Json>& entries)> summary;
};

const std::vector<PassKind>& pass_kinds();

// Passes as text, separated by commas or lines: NAME:WHAT:option=value:…, where WHAT is the short form of the
// pass (slice:0.1 takes a tenth of the parameters, sparsify:2:4 makes that pattern) and options may be
// spelled with "-" or "_". Lines that begin with # are comments. Throws kUsage naming the pass and what is
// wrong with it.
Passes parse_recipe(const std::string& text);

}  // namespace pare
