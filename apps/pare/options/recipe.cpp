#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "options/pass_options.h"

namespace pare {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r";
  const size_t first = text.find_first_not_of(kSpace);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// "0.1" → "0.9": a recipe says what goes, --target-params what stays.
std::string share_that_stays(const std::string& what) {
  char* end = nullptr;
  const double gone = std::strtod(what.c_str(), &end);
  if (what.empty() || *end != '\0' || !(gone > 0.0 && gone < 1.0))
    fail(ErrorCode::kUsage, "'{}' is not a share of the parameters, more than 0 and less than 1", what);
  return fmt::format("{}", 1.0 - gone);
}

std::unique_ptr<Pass> parse_pass(const std::string& text) {
  const std::vector<std::string> parts = split(text, ':');
  if (std::find(parts.begin(), parts.end(), "") != parts.end())
    fail(ErrorCode::kUsage, "there is nothing before or behind a colon");
  const std::string& name = parts.front();
  std::string what;
  std::vector<std::string> arguments;
  for (size_t i = 1; i < parts.size(); ++i) {
    const bool is_flag = !parts[i].empty() && std::isalpha(static_cast<unsigned char>(parts[i].front())) != 0;
    if (is_flag || parts[i].find('=') != std::string::npos) {
      arguments.push_back("--" + parts[i]);
    } else {
      what += (what.empty() ? "" : ":") + parts[i];
    }
  }
  std::unique_ptr<PassOptions> options;
  if (name == "slice") {
    options = slice_options();
    if (!what.empty()) arguments.push_back("--target-params=" + share_that_stays(what));
  } else if (name == "sparsify") {
    options = sparsify_options();
    if (!what.empty()) arguments.push_back("--pattern=" + what);
  } else {
    fail(ErrorCode::kUsage, "there is no pass '{}': slice and sparsify are", name);
  }
  CLI::App command;
  options->add(command);
  try {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants a vector
    command.parse(arguments);
  } catch (const CLI::ParseError& error) {
    fail(ErrorCode::kUsage, "{}", error.what());
  }
  return options->pass(command);
}

}  // namespace

Passes parse_recipe(const std::string& text) {
  Passes passes;
  for (const std::string& part : split(text, '\n')) {
    const std::string line = trimmed(part);
    if (line.empty() || line.front() == '#') continue;
    for (const std::string& item : split(line, ',')) {
      const std::string pass = trimmed(item);
      if (pass.empty()) fail(ErrorCode::kUsage, "--recipe, '{}': an empty item", line);
      try {
        passes.push_back(parse_pass(pass));
      } catch (const Error& error) {
        fail(ErrorCode::kUsage, "--recipe, '{}': {}", pass, error.what());
      }
    }
  }
  if (passes.empty()) fail(ErrorCode::kUsage, "--recipe names no pass");
  return passes;
}

}  // namespace pare
