// Options of passes as data: their names, their kinds, and the conversion of text to values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace pare {

enum class OptionKind {
  kNumber,  // a floating-point number
  kCount,   // a whole number, `least` or more
  kBytes,   // a number of bytes: 75000000, 75MB, 71.5MiB
  kSpeed,   // tokens a second: 60, 60tok/s
  kWord,    // a text, one of `choices` when there are any
  kWords,   // words separated by commas, each one of `choices`
  kTexts,   // a text each time that the option is given
  kFlag,    // yes, without a value
};

struct PassOption {
  std::string name;  // "target_params"
  OptionKind kind = OptionKind::kWord;
  std::string help;  // names other options in words: `match model`
  std::vector<std::string> choices = {};
  int64_t least = 0;
  std::string opposite = {};  // kFlag: the name that says no ("untie"); empty: there is none
};

// Values of options by their names: numbers, texts, lists of texts, booleans. Options that are not given are
// not there.
using OptionValues = Json;

// Reads the text that an option is given and puts its value into `values`; a list gets longer. For a flag, ""
// is yes. Throws kUsage naming the option when it does not take the value.
void read_option(const PassOption& option, const std::string& text, OptionValues& values);

// Words of options that are yes or no.
extern const std::map<std::string, bool> kYesNo;

// Returns the name of a value that the map has.
template <typename T>
const std::string& name_of(const std::map<std::string, T>& values, T value) {
  return std::find_if(values.begin(), values.end(), [&](const auto& entry) { return entry.second == value; })
      ->first;
}

// Names of a map, in their order.
template <typename T>
std::vector<std::string> names_of(const std::map<std::string, T>& values) {
  std::vector<std::string> names;
  for (const auto& entry : values) names.push_back(entry.first);
  return names;
}

// Sets the variable to the option's value, where it is given.
template <typename T>
void take_option(const OptionValues& values, const char* name, T& variable) {
  if (values.contains(name)) variable = values.at(name).get<T>();
}
// Sets the variable for an option whose words stand for values, where it is given.
template <typename T>
void take_option(const OptionValues& values, const char* name, const std::map<std::string, T>& words,
                 T& variable) {
  if (values.contains(name)) variable = words.at(values.at(name).get<std::string>());
}

}  // namespace pare
