// One step that cuts text into words, as the pre-tokenizers of tokenizer.json do.
#pragma once

#include <string>

namespace pare {

// Ways to treat the matches of a step, and the text between them.
enum class SplitBehavior {
  kIsolated,            // a word each
  kRemoved,             // matches are dropped
  kMergedWithPrevious,  // a match belongs to what stands before it
  kMergedWithNext,      // a match belongs to what stands behind it
  kContiguous           // matches that touch are one word
};

struct SplitStep {
  enum class Pattern {
    kRegex,        // `text`, a regex
    kText,         // `text` as it stands
    kDigits,       // a numeric character
    kPunctuation,  // a punctuation character, as the pre-tokenizer Punctuation has it
    kSpaces,       // a white space character
    kWords         // a run of word characters, or of others that are not white space
  };
  Pattern pattern = Pattern::kRegex;
  std::string text{};
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;    // text between the pattern's matches counts as matches
  bool of_bytes = false;  // cuts the text as the byte-level alphabet writes it, a character a byte

  bool operator==(const SplitStep&) const = default;
};

// Every match of a regex is a word, and what stands between two is one.
SplitStep split_at_regex(std::string regex);

}  // namespace pare
