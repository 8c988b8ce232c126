#include "compress/pass_options.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/error.h"
#include "base/words.h"

namespace pare {
namespace {

// CLI11 and this file agree on the largest count, far above what any model has.
constexpr int64_t kMaxCount = int64_t{1} << 32;

[[noreturn]] void fail_number(const PassOption& option, const std::string& text) {
  fail(ErrorCode::kUsage, "`{}` = {} is no number that this option takes", option.name, text);
}

double number(const PassOption& option, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0') fail_number(option, text);
  return value;
}

int64_t count(const PassOption& option, const std::string& text) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (stop != end || (error != std::errc() && error != std::errc::result_out_of_range))
    fail_number(option, text);
  if (error != std::errc() || value < option.least || value > kMaxCount)
    fail(ErrorCode::kUsage, "`{}`: Value {} not in range {} to {}", option.name, text, option.least,
         kMaxCount);
  return value;
}

const std::string& word(const PassOption& option, const std::string& text) {
  const std::vector<std::string>& choices = option.choices;
  if (!choices.empty() && std::find(choices.begin(), choices.end(), text) == choices.end())
    fail(ErrorCode::kUsage, "`{}`: {} is not one of {}", option.name, text, fmt::join(choices, ", "));
  return text;
}

bool yes(const PassOption& option, const std::string& text) {
  if (text.empty() || text == "true") return true;
  if (text != "false") fail(ErrorCode::kUsage, "`{}`: {} is not true or false", option.name, text);
  return false;
}

}  // namespace

const std::map<std::string, bool> kYesNo = {{"yes", true}, {"no", false}};

void read_option(const PassOption& option, const std::string& text, OptionValues& values) {
  Json& value = values[option.name];
  switch (option.kind) {
    case OptionKind::kNumber:
      value = number(option, text);
      break;
    case OptionKind::kCount:
      value = count(option, text);
      break;
    case OptionKind::kWord:
      value = word(option, text);
      break;
    case OptionKind::kTexts:
      value.push_back(text);
      break;
    case OptionKind::kFlag:
      value = yes(option, text);
      break;
    case OptionKind::kWords:
      for (const std::string& item : split(text, ',')) {
        if (item.empty()) fail(ErrorCode::kUsage, "`{}`: an empty item in '{}'", option.name, text);
        value.push_back(word(option, item));
      }
      break;
  }
}

}  // namespace pare
