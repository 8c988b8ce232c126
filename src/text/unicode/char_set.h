// Sets of code points, as the character classes of regexes name them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace pare {

// Value of the code points from `first` to the next tile: a general category in the low five bits, a script
// in the five above (0: not told apart), and the bits below. Tiles begin with U+0000, in order. Generated.
struct PropertyTile {
  uint32_t first;
  uint32_t value;
};
extern const PropertyTile kPropertyTiles[];
extern const size_t kPropertyTileCount;

inline constexpr uint32_t kAlphabeticBit = 1 << 10;
inline constexpr uint32_t kUppercaseBit = 1 << 11;
inline constexpr uint32_t kLowercaseBit = 1 << 12;
inline constexpr uint32_t kWordBit = 1 << 13;         // \w of regexes
inline constexpr uint32_t kPunctuationBit = 1 << 14;  // characters that the pre-tokenizer Punctuation cuts at
inline constexpr uint32_t kSpaceBit = 1 << 15;
inline constexpr uint32_t kDigitBit = 1 << 16;      // characters that the pre-tokenizer Digits cuts out
inline constexpr uint32_t kTokenWordBit = 1 << 17;  // characters beside which no single_word token matches
inline constexpr uint32_t kAccentBit = 1 << 18;     // characters that the normalizer StripAccents removes

// The bits of CharClass that go with the value of a tile.
uint8_t classes_of(uint32_t value);

class CharSet {
 public:
  // Stands for a sequence of bytes that is no character; it is in every complement.
  static constexpr uint32_t kInvalid = 0x110000;

  struct Range {
    uint32_t first;
    uint32_t last;
    bool operator==(const Range&) const = default;
  };

  CharSet() = default;
  CharSet(uint32_t first, uint32_t last) : ranges_{{first, last}} {}
  explicit CharSet(uint32_t code) : CharSet(code, code) {}
  // The characters that have one of these CharClass bits.
  static CharSet of_classes(uint8_t classes);
  // The characters with one of these bits of PropertyTile.
  static CharSet of_property_bits(uint32_t bits);
  // The set that \p{name} means: a general category, short or long, a script, or one of the classes of POSIX.
  // Case, spaces, '-' and '_' do not matter. Nothing for any other name.
  static std::optional<CharSet> named(std::string_view name);

  // Sorted, disjoint, not touching each other.
  const std::vector<Range>& ranges() const { return ranges_; }
  bool empty() const { return ranges_.empty(); }
  bool contains(uint32_t code) const;
  bool operator==(const CharSet&) const = default;

  CharSet complement() const;
  CharSet operator|(const CharSet& other) const;
  CharSet operator&(const CharSet& other) const;

 private:
  explicit CharSet(std::vector<Range> ranges);  // in any order, also overlapping

  std::vector<Range> ranges_;
};

}  // namespace pare
