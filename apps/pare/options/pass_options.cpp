#include "options/pass_options.h"

#include <string>
#include <vector>

#include "report/flags.h"

namespace pare {
namespace {

std::string flag_of(const std::string& option) { return with_flags("`" + option + "`"); }

const char* type_of(OptionKind kind) {
  if (kind == OptionKind::kNumber) return "FLOAT";
  if (kind == OptionKind::kBytes) return "BYTES";
  if (kind == OptionKind::kSpeed) return "TOK/S";
  return kind == OptionKind::kCount ? "INT" : "TEXT";
}

void add_pass_option(CLI::App& command, const PassOption& option, OptionValues& values) {
  const std::string flag = flag_of(option.name);
  const std::string help = with_flags(option.help);
  const auto take = [&option, &values](const std::string& text) {
    try {
      read_option(option, text, values);
    } catch (const Error& error) {
      throw CLI::ValidationError(with_flags(error.what()));
    }
  };
  switch (option.kind) {
    case OptionKind::kFlag: {
      const std::string opposite = option.opposite.empty() ? "" : ",!" + flag_of(option.opposite);
      const auto set = [&option, &values](int64_t count) { values[option.name] = count > 0; };
      command.add_flag_function(flag + opposite, set, help);
      break;
    }
    case OptionKind::kWords:
    case OptionKind::kTexts: {
      const auto take_all = [take](const std::vector<std::string>& texts) {
        for (const std::string& text : texts) take(text);
      };
      command.add_option_function<std::vector<std::string>>(flag, take_all, help)->allow_extra_args(false);
      break;
    }
    default:
      command.add_option_function<std::string>(flag, take, help)->type_name(type_of(option.kind));
  }
}

}  // namespace

void add_pass_options(CLI::App& command, const PassKind& kind, OptionValues& values) {
  for (const PassOption& option : kind.options) add_pass_option(command, option, values);
}

}  // namespace pare
