#include "report/flags.h"

#include <algorithm>
#include <set>

namespace pare {
namespace {

using Names = std::set<std::string, std::less<>>;
Names known_names;  // "max-tokens"

// Replaces names between backquotes; without `known`, every name is an option's.
std::string replaced(std::string_view rest, const Names* known) {
  std::string text;
  for (;;) {
    const size_t begin = rest.find('`');
    const size_t end = begin == std::string_view::npos ? begin : rest.find('`', begin + 1);
    if (end == std::string_view::npos) return text.append(rest);
    const std::string_view option = rest.substr(begin + 1, end - begin - 1);
    std::string name(option.substr(0, option.find(' ')));
    std::replace(name.begin(), name.end(), '_', '-');
    if (name.empty() || (known != nullptr && !known->contains(name))) {
      text.append(rest.substr(0, end));  // the second backquote may be the first of an option
      rest.remove_prefix(end);
      continue;
    }
    text.append(rest.substr(0, begin)).append("--").append(name).append(option.substr(name.size()));
    rest.remove_prefix(end + 1);
  }
}

}  // namespace

std::string with_flags(std::string_view text) { return replaced(text, nullptr); }
std::string with_known_flags(std::string_view message) { return replaced(message, &known_names); }

void know_flags(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options())
    known_names.insert(option->get_lnames().begin(), option->get_lnames().end());
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    know_flags(*command);
}

}  // namespace pare
