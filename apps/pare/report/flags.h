// Options in the library's messages, as the flags of the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

namespace pare {

// The library names an option in words, between backquotes and with its value, if any: `max_tokens`,
// `match model`. Returns the text with "--max-tokens" and "--match model" in their place.
std::string with_flags(std::string_view text);
// with_flags for messages, which may quote foreign text: names that no command has an option of stay.
std::string with_known_flags(std::string_view message);

// Makes with_known_flags() know the options of all commands of the program.
void know_flags(const CLI::App& app);

}  // namespace pare
