// Steps of a tokenizer.json's normalizer, which change text before it is cut into words.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pare {

struct NormalizerStep {
  enum class Kind {
    kNfc,  // the normal forms of Unicode
    kNfd,
    kNfkc,
    kNfkd,
    kLowercase,
    kStripAccents,  // takes combining marks away
    kPrepend,       // puts `content` before a text that is not empty
    kReplace        // puts `content` in the place of every `pattern`, which is not empty
  };
  Kind kind = Kind::kNfc;
  std::string pattern;
  std::string content;

  bool operator==(const NormalizerStep&) const = default;
};

// Returns the step that tokenizer.json knows by this name alone; nothing for any other name.
std::optional<NormalizerStep::Kind> plain_normalizer(std::string_view name);
// Returns the name of a step; empty for one that has more than a name.
std::string_view normalizer_name(NormalizerStep::Kind kind);

// Appends the normal form of text. Without `is_start`, nothing is prepended. Linear time, times a logarithm
// in runs of combining marks.
void append_normalized(const std::vector<NormalizerStep>& steps, std::string_view text, bool is_start,
                       std::string& out);

}  // namespace pare
