// What is done to text before it is cut: the steps of a tokenizer.json's normalizer.
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

// The steps that tokenizer.json knows by their name alone; nothing for any other.
std::optional<NormalizerStep::Kind> plain_normalizer(std::string_view name);
// The other way round; empty for those that have more than a name.
std::string_view normalizer_name(NormalizerStep::Kind kind);

// Appends the normal form of text. Without `is_start`, nothing is prepended. Linear time, times a logarithm
// in runs of combining marks.
void append_normalized(const std::vector<NormalizerStep>& steps, std::string_view text, bool is_start,
                       std::string& out);

}  // namespace pare
