#include "text/unicode/char_set.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "text/unicode/unicode.h"

namespace pare {
namespace {

constexpr uint32_t kCategoryMask = 0x1f;
constexpr uint32_t kScriptShift = 5;
constexpr uint32_t kScriptMask = 0x1f << kScriptShift;

// Names in the order of tools/tables/make_unicode_properties.py.
constexpr std::string_view kCategories[] = {"cn", "cc", "cf", "co", "cs", "ll", "lm", "lo", "lt", "lu",
                                            "mc", "me", "mn", "nd", "nl", "no", "pc", "pd", "pe", "pf",
                                            "pi", "po", "ps", "sc", "sk", "sm", "so", "zl", "zp", "zs"};
constexpr std::string_view kScripts[] = {
    "han",      "hiragana", "katakana", "hangul",     "bopomofo",  "latin",    "greek",    "cyrillic",
    "armenian", "hebrew",   "arabic",   "devanagari", "bengali",   "gurmukhi", "gujarati", "oriya",
    "tamil",    "telugu",   "kannada",  "malayalam",  "sinhala",   "thai",     "lao",      "tibetan",
    "myanmar",  "georgian", "ethiopic", "khmer",      "mongolian", "common",   "inherited"};

// A name that stands for a category, or for all categories that begin with a letter.
struct LongName {
  std::string_view name;
  std::string_view category;
};
constexpr LongName kLongNames[] = {{"other", "c"},
                                   {"unassigned", "cn"},
                                   {"control", "cc"},
                                   {"cntrl", "cc"},
                                   {"format", "cf"},
                                   {"privateuse", "co"},
                                   {"surrogate", "cs"},
                                   {"letter", "l"},
                                   {"lowercaseletter", "ll"},
                                   {"modifierletter", "lm"},
                                   {"otherletter", "lo"},
                                   {"titlecaseletter", "lt"},
                                   {"uppercaseletter", "lu"},
                                   {"mark", "m"},
                                   {"combiningmark", "m"},
                                   {"spacingmark", "mc"},
                                   {"enclosingmark", "me"},
                                   {"nonspacingmark", "mn"},
                                   {"number", "n"},
                                   {"decimalnumber", "nd"},
                                   {"digit", "nd"},
                                   {"letternumber", "nl"},
                                   {"othernumber", "no"},
                                   {"punctuation", "p"},
                                   {"punct", "p"},
                                   {"connectorpunctuation", "pc"},
                                   {"dashpunctuation", "pd"},
                                   {"closepunctuation", "pe"},
                                   {"finalpunctuation", "pf"},
                                   {"initialpunctuation", "pi"},
                                   {"otherpunctuation", "po"},
                                   {"openpunctuation", "ps"},
                                   {"symbol", "s"},
                                   {"currencysymbol", "sc"},
                                   {"modifiersymbol", "sk"},
                                   {"mathsymbol", "sm"},
                                   {"othersymbol", "so"},
                                   {"separator", "z"},
                                   {"lineseparator", "zl"},
                                   {"paragraphseparator", "zp"},
                                   {"spaceseparator", "zs"}};

// The code points whose tile has a value that `wanted` takes.
template <typename Wanted>
std::vector<CharSet::Range> tiles_where(Wanted wanted) {
  std::vector<CharSet::Range> ranges;
  for (size_t i = 0; i < kPropertyTileCount; ++i) {
    if (!wanted(kPropertyTiles[i].value)) continue;
    const uint32_t end = i + 1 < kPropertyTileCount ? kPropertyTiles[i + 1].first : CharSet::kInvalid;
    ranges.push_back({kPropertyTiles[i].first, end - 1});
  }
  return ranges;
}

std::string plain_name(std::string_view name) {
  std::string plain;
  for (const char c : name)
    if (c != ' ' && c != '-' && c != '_')
      plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return plain;
}

}  // namespace

uint8_t classes_of(uint32_t value) {
  const std::string_view category = kCategories[value & kCategoryMask];
  uint8_t classes = 0;
  if (category[0] == 'l') classes |= kLetter;
  if (category[0] == 'n') classes |= kNumber;
  if (category[0] == 'm') classes |= kMark;
  if (category == "lu" || category == "lt") classes |= kUpper;
  if (category == "ll") classes |= kLower;
  if ((value & kSpaceBit) != 0) classes |= kSpace;
  if ((value & kDigitBit) != 0) classes |= kNumeric;
  if ((value & kTokenWordBit) != 0) classes |= kWordChar;
  return classes;
}

CharSet::CharSet(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](Range a, Range b) { return a.first < b.first; });
  for (const Range& range : ranges) {
    if (!ranges_.empty() && range.first <= ranges_.back().last + 1)
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    else
      ranges_.push_back(range);
  }
}

CharSet CharSet::of_classes(uint8_t classes) {
  return CharSet(tiles_where([&](uint32_t value) { return (classes_of(value) & classes) != 0; }));
}

CharSet CharSet::of_property_bits(uint32_t bits) {
  return CharSet(tiles_where([&](uint32_t value) { return (value & bits) != 0; }));
}

std::optional<CharSet> CharSet::named(std::string_view name) {
  std::string plain = plain_name(name);
  if (plain == "any") return CharSet(0, kInvalid - 1);
  if (plain == "ascii") return CharSet(0, 0x7f);
  if (plain == "assigned") return named("cn")->complement() & CharSet(0, kInvalid - 1);
  if (plain == "alpha" || plain == "alphabetic") return of_property_bits(kAlphabeticBit);
  if (plain == "alnum") return of_property_bits(kAlphabeticBit) | *named("nd");
  if (plain == "upper" || plain == "uppercase") return of_property_bits(kUppercaseBit);
  if (plain == "lower" || plain == "lowercase") return of_property_bits(kLowercaseBit);
  if (plain == "word") return of_property_bits(kWordBit);
  if (plain == "space" || plain == "whitespace") return of_classes(kSpace);
  if (plain == "blank") return *named("zs") | CharSet('\t');
  if (plain == "xdigit") return CharSet('0', '9') | CharSet('a', 'f') | CharSet('A', 'F');
  const auto script = std::find(std::begin(kScripts), std::end(kScripts), plain);
  if (script != std::end(kScripts)) {
    const auto number = static_cast<uint32_t>(script - std::begin(kScripts) + 1);
    return CharSet(
        tiles_where([&](uint32_t value) { return (value & kScriptMask) == number << kScriptShift; }));
  }
  for (const LongName& entry : kLongNames)
    if (entry.name == plain) plain = entry.category;
  if (plain.empty() || plain.size() > 2) return std::nullopt;
  const auto ranges = tiles_where(
      [&](uint32_t value) { return kCategories[value & kCategoryMask].substr(0, plain.size()) == plain; });
  if (ranges.empty()) return std::nullopt;
  return CharSet(ranges);
}

bool CharSet::contains(uint32_t code) const {
  const auto it = std::upper_bound(ranges_.begin(), ranges_.end(), code,
                                   [](uint32_t value, const Range& range) { return value < range.first; });
  return it != ranges_.begin() && code <= std::prev(it)->last;
}

CharSet CharSet::complement() const {
  CharSet result;
  uint32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) result.ranges_.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kInvalid) result.ranges_.push_back({next, kInvalid});
  return result;
}

CharSet CharSet::operator|(const CharSet& other) const {
  std::vector<Range> ranges = ranges_;
  ranges.insert(ranges.end(), other.ranges_.begin(), other.ranges_.end());
  return CharSet(std::move(ranges));
}

CharSet CharSet::operator&(const CharSet& other) const {
  return (complement() | other.complement()).complement();
}

}  // namespace pare
