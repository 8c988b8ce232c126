// Cutting text into words by a list of steps, as a Sequence of pre-tokenizers does.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "text/tokenizer/regex.h"
#include "text/tokenizer/split_step.h"

namespace pare {

class Splitter {
 public:
  static constexpr size_t kMaxSteps = 32;

  // Every step cuts the words of the step before it. Steps of bytes come last. Throws what Regex throws, and
  // kUnsupported for more than kMaxSteps steps.
  explicit Splitter(const std::vector<SplitStep>& steps);

  // The words of text, in order, without empty ones. Together they are the text, unless a step removes
  // something. Safe to call from several threads. Throws kInvalid when a regex takes too long.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  struct Step {
    Regex regex;
    SplitBehavior behavior;
    bool invert;
    bool of_bytes;
  };
  std::vector<Step> steps_;
};

}  // namespace pare
