#include "compress/pass_options.h"

#include <algorithm>
#include <cctype>
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

// Units of bytes are powers of 1000, those with an i of 1024.
int64_t bytes(const PassOption& option, const std::string& text) {
  static const std::map<std::string, double> kUnits = {{"", 1.0},       {"b", 1.0},     {"kb", 1e3},
                                                       {"mb", 1e6},     {"gb", 1e9},    {"kib", 0x1p10},
                                                       {"mib", 0x1p20}, {"gib", 0x1p30}};
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  std::string unit(end);
  unit.erase(0, unit.find_first_not_of(' '));
  for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto factor = kUnits.find(unit);
  if (end == text.c_str() || factor == kUnits.end())
    fail(ErrorCode::kUsage, "`{}` = {} is no number of bytes, such as 75000000, 75MB or 71.5MiB", option.name,
         text);
  const double scaled = value * factor->second;
  if (!(scaled >= 1.0 && scaled < 0x1p62))
    fail(ErrorCode::kUsage, "`{}` = {} is out of range", option.name, text);
  return static_cast<int64_t>(scaled);
}

double speed(const PassOption& option, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  std::string unit(end);
  unit.erase(0, unit.find_first_not_of(' '));
  if (end == text.c_str() || (!unit.empty() && unit != "tok/s"))
    fail(ErrorCode::kUsage, "`{}` = {} is no number of tokens a second, such as 60 or 60tok/s", option.name,
         text);
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
  if (text == "false") return false;
  const auto found = kYesNo.find(text);
  if (found == kYesNo.end()) fail(ErrorCode::kUsage, "`{}`: {} is not yes or no", option.name, text);
  return found->second;
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
    case OptionKind::kBytes:
      value = bytes(option, text);
      break;
    case OptionKind::kSpeed:
      value = speed(option, text);
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
