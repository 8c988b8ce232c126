#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/words.h"
#include "compress/passes.h"

namespace pare {
namespace {

std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r";
  const size_t first = text.find_first_not_of(kSpace);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

const PassKind& kind_of(const std::string& name) {
  std::vector<std::string> names;
  for (const PassKind& kind : pass_kinds()) {
    if (kind.name == name) return kind;
    names.push_back(kind.name);
  }
  fail(ErrorCode::kUsage, "there is no pass '{}': {} are", name, listed(names));
}

// Returns whether a part is an option rather than a piece of the short form.
bool is_option(const PassKind& kind, const std::string& part) {
  const auto& words = kind.short_words;
  if (std::find(words.begin(), words.end(), part) != words.end()) return false;
  return std::isalpha(static_cast<unsigned char>(part.front())) != 0 || part.find('=') != std::string::npos;
}

// Reads "name", "name=value" or the opposite of a flag.
void read_argument(const PassKind& kind, const std::string& part, OptionValues& values) {
  const size_t sign = std::min(part.find('='), part.size());
  std::string name = part.substr(0, sign);
  std::replace(name.begin(), name.end(), '-', '_');
  const auto is_named = [&](const PassOption& option) {
    return option.name == name || option.opposite == name;
  };
  const auto option = std::find_if(kind.options.begin(), kind.options.end(), is_named);
  if (option == kind.options.end())
    fail(ErrorCode::kUsage, "{} has no option '{}'", kind.name, part.substr(0, sign));
  const bool is_list = option->kind == OptionKind::kWords || option->kind == OptionKind::kTexts;
  if (!is_list && values.contains(option->name)) fail(ErrorCode::kUsage, "`{}` is given twice", name);
  if (option->name != name) {
    if (sign < part.size()) fail(ErrorCode::kUsage, "`{}` takes no value", name);
    return read_option(*option, "false", values);
  }
  if (sign == part.size() && option->kind != OptionKind::kFlag)
    fail(ErrorCode::kUsage, "`{}` needs a value", name);
  read_option(*option, part.substr(std::min(sign + 1, part.size())), values);
}

std::unique_ptr<Pass> parse_pass(const std::string& text) {
  const std::vector<std::string> parts = split(text, ':');
  if (std::find(parts.begin(), parts.end(), "") != parts.end())
    fail(ErrorCode::kUsage, "there is nothing before or behind a colon");
  const PassKind& kind = kind_of(parts.front());
  std::string what;
  for (size_t i = 1; i < parts.size(); ++i)
    if (!is_option(kind, parts[i])) what += (what.empty() ? "" : ":") + parts[i];
  OptionValues values = what.empty() ? OptionValues::object() : kind.short_form(what);
  for (size_t i = 1; i < parts.size(); ++i)
    if (is_option(kind, parts[i])) read_argument(kind, parts[i], values);
  return kind.make(values);
}

}  // namespace

Passes parse_recipe(const std::string& text) {
  Passes passes;
  for (const std::string& part : split(text, '\n')) {
    const std::string line = trimmed(part);
    if (line.empty() || line.front() == '#') continue;
    for (const std::string& item : split(line, ',')) {
      const std::string pass = trimmed(item);
      if (pass.empty()) fail(ErrorCode::kUsage, "`recipe`, '{}': an empty item", line);
      try {
        passes.push_back(parse_pass(pass));
      } catch (const Error& error) {
        fail(ErrorCode::kUsage, "`recipe`, '{}': {}", pass, error.what());
      }
    }
  }
  if (passes.empty()) fail(ErrorCode::kUsage, "`recipe` names no pass");
  return passes;
}

}  // namespace pare
