// Unicode's normal forms (UAX 15), lower case and letters without accents, as the normalizers of the
// `tokenizers` library have them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "text/unicode/case_runs.h"

namespace pare {

// A canonical decomposition: `code` is `first` and `second`, or `first` alone (second 0).
struct Decomposition {
  uint32_t code;
  uint32_t first;
  uint32_t second;
  bool composes;  // first and second become code again
};
// Sorted by code; without the Hangul syllables, which are computed. Generated.
extern const Decomposition kDecompositions[];
extern const size_t kDecompositionCount;

struct CombiningClass {
  uint32_t first;
  uint32_t last;
  uint8_t value;  // not 0
};
// Sorted, disjoint. Generated.
extern const CombiningClass kCombiningClasses[];
extern const size_t kCombiningClassCount;

// A character whose form KD is not its form D: its form KD ends at `end` in kCompatibleText, and begins where
// that of the entry before ends.
struct Compatibility {
  uint32_t code;
  uint32_t end;
};
// Sorted by code. Generated.
extern const Compatibility kCompatibilities[];
extern const size_t kCompatibilityCount;
extern const char32_t kCompatibleText[];
// Lower cases, without U+0130, which becomes two characters. Generated.
extern const CaseRun kLowercase[];
extern const size_t kLowercaseCount;

// Returns whether text is certainly in form C. ASCII text costs a look at its bytes.
bool is_nfc(std::string_view text);
// Append a form of text; invalid bytes stay as they are.
void append_nfc(std::string_view text, std::string& out);
void append_nfd(std::string_view text, std::string& out);
void append_nfkc(std::string_view text, std::string& out);
void append_nfkd(std::string_view text, std::string& out);
// Appends the lower case of each character on its own: a sigma is never a final one.
void append_lowercase(std::string_view text, std::string& out);
// Appends text without combining marks; a letter and its accent that are one character stay.
void append_without_accents(std::string_view text, std::string& out);

}  // namespace pare
