// Unicode normalization form C (UAX 15), as the `tokenizers` library computes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

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

// Whether text is certainly in form C. ASCII text costs a look at its bytes.
bool is_nfc(std::string_view text);
// Appends text in form C; invalid bytes stay as they are.
void append_nfc(std::string_view text, std::string& out);

}  // namespace pare
