#include "text/unicode/nfc.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "text/unicode/char_set.h"
#include "text/unicode/utf8.h"

namespace pare {
namespace {

constexpr char32_t kCodePoints = 0x110000;
constexpr uint8_t kUnstable = 0xff;  // a starter that form C may change or join to what stands before it

// Hangul syllables (Unicode standard, section 3.12).
constexpr char32_t kSyllables = 0xac00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11a7;
constexpr char32_t kLeadCount = 19, kVowelCount = 21, kTailCount = 28;
constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;

struct Char {
  char32_t code;
  uint8_t combining_class;
};

class Tables {
 public:
  static const Tables& get() {
    static const Tables tables;
    return tables;
  }

  uint8_t combining_class(char32_t code) const {
    const uint8_t mark = marks_[code];
    return mark == kUnstable ? uint8_t{0} : mark;
  }
  // A starter that is itself in form C whatever stands around it.
  bool is_stable(char32_t code) const { return marks_[code] == 0; }

  // Decomposes a character into its form D or KD.
  void decompose(char32_t code, bool compatibly, std::vector<Char>& out) const {
    if (compatibly && append_compatible(code, out)) return;
    if (code >= kSyllables && code < kSyllables + kSyllableCount) {
      const char32_t index = code - kSyllables;
      out.push_back({kLeads + index / (kVowelCount * kTailCount), 0});
      out.push_back({kVowels + index / kTailCount % kVowelCount, 0});
      if (index % kTailCount != 0) out.push_back({kTails + index % kTailCount, 0});
      return;
    }
    const Decomposition* const end = kDecompositions + kDecompositionCount;
    const Decomposition* const it = std::lower_bound(
        kDecompositions, end, code, [](const Decomposition& d, char32_t c) { return d.code < c; });
    if (it == end || it->code != code) return out.push_back({code, combining_class(code)});
    decompose(it->first, false, out);
    if (it->second != 0) decompose(it->second, false, out);
  }

  // The character that two become, 0 if they stay.
  char32_t compose(char32_t first, char32_t second) const {
    if (first >= kLeads && first < kLeads + kLeadCount && second >= kVowels && second < kVowels + kVowelCount)
      return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTailCount;
    if (first >= kSyllables && first < kSyllables + kSyllableCount &&
        (first - kSyllables) % kTailCount == 0 && second > kTails && second < kTails + kTailCount)
      return first + (second - kTails);
    const auto it = compositions_.find(pair_key(first, second));
    return it == compositions_.end() ? 0 : it->second;
  }

 private:
  Tables() : marks_(kCodePoints, 0) {
    for (size_t i = 0; i < kCombiningClassCount; ++i)
      for (uint32_t c = kCombiningClasses[i].first; c <= kCombiningClasses[i].last; ++c)
        marks_[c] = kCombiningClasses[i].value;
    const auto destabilise = [this](char32_t code) {
      if (marks_[code] == 0) marks_[code] = kUnstable;
    };
    for (size_t i = 0; i < kDecompositionCount; ++i) {
      const Decomposition& d = kDecompositions[i];
      if (d.composes) {
        compositions_.emplace(pair_key(d.first, d.second), d.code);
        destabilise(d.second);
      } else {
        destabilise(d.code);
      }
    }
    for (char32_t i = 0; i < kVowelCount; ++i) destabilise(kVowels + i);
    for (char32_t i = 1; i < kTailCount; ++i) destabilise(kTails + i);
  }

  // False where the forms D and KD are the same.
  bool append_compatible(char32_t code, std::vector<Char>& out) const {
    const Compatibility* const end = kCompatibilities + kCompatibilityCount;
    const Compatibility* const it = std::lower_bound(
        kCompatibilities, end, code, [](const Compatibility& c, char32_t at) { return c.code < at; });
    if (it == end || it->code != code) return false;
    for (uint32_t i = it == kCompatibilities ? 0 : it[-1].end; i < it->end; ++i)
      out.push_back({kCompatibleText[i], combining_class(kCompatibleText[i])});
    return true;
  }

  static uint64_t pair_key(char32_t first, char32_t second) { return uint64_t{first} << 32 | second; }

  std::vector<uint8_t> marks_;  // by code point: combining class, or kUnstable
  std::unordered_map<uint64_t, char32_t> compositions_;
};

// Canonical order: marks between two starters by class, those of one class as they stand.
void reorder(std::vector<Char>& chars) {
  for (auto it = chars.begin(); it != chars.end();) {
    if (it->combining_class == 0) {
      ++it;
      continue;
    }
    const auto end = std::find_if(it, chars.end(), [](const Char& c) { return c.combining_class == 0; });
    std::stable_sort(it, end,
                     [](const Char& a, const Char& b) { return a.combining_class < b.combining_class; });
    it = end;
  }
}

// Composes in place (UAX 15, D117).
void compose(const Tables& tables, std::vector<Char>& chars) {
  size_t count = 0;
  size_t starter = SIZE_MAX;
  for (const Char c : chars) {
    if (starter != SIZE_MAX) {
      // The last character kept behind the starter blocks those of its own class and lower ones.
      if (starter + 1 == count || chars[count - 1].combining_class < c.combining_class) {
        if (const char32_t joined = tables.compose(chars[starter].code, c.code)) {
          chars[starter].code = joined;
          continue;
        }
      }
    }
    if (c.combining_class == 0) starter = count;
    chars[count++] = c;
  }
  chars.resize(count);
}

// Bytes below 0x80 at the start of text.
size_t ascii_length(std::string_view text) {
  size_t pos = 0;
  for (; pos + 8 <= text.size(); pos += 8) {
    uint64_t bytes = 0;
    std::memcpy(&bytes, text.data() + pos, 8);
    if ((bytes & 0x8080808080808080ull) != 0) break;
  }
  while (pos < text.size() && static_cast<unsigned char>(text[pos]) < 0x80) ++pos;
  return pos;
}

// Builds a form that is made of whole decompositions: takes text apart and joins it, but for its ASCII parts.
void append_form(std::string_view text, bool compatibly, bool composed, std::string& out) {
  constexpr size_t kEnough = 1024;  // characters from which ASCII text is a place to stop at
  const Tables& tables = Tables::get();
  std::vector<Char> chars;
  const auto finish = [&] {
    reorder(chars);
    if (composed) compose(tables, chars);
    for (const Char c : chars) append_utf8(out, c.code);
    chars.clear();
  };
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(pos));
    if (!c.valid) {
      finish();
      out.append(text.substr(pos, c.length));
    } else if (c.code < 0x80) {
      if (chars.size() >= kEnough) finish();
      chars.push_back({c.code, 0});
    } else {
      tables.decompose(c.code, compatibly, chars);
    }
    pos += c.length;
  }
  finish();
}

// Appends what `append` makes of each character, and invalid bytes as they are.
template <typename Append>
void append_each(std::string_view text, std::string& out, Append append) {
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(pos));
    if (c.valid)
      append(c.code);
    else
      out.append(text.substr(pos, c.length));
    pos += c.length;
  }
}

// Start of the character before the first one that is not stable; text.size() when all are.
size_t stable_length(const Tables& tables, std::string_view text) {
  size_t last = 0;
  for (size_t pos = ascii_length(text); pos < text.size();) {
    if (pos > 0 && static_cast<unsigned char>(text[pos - 1]) < 0x80) last = pos - 1;
    const Utf8Char c = decode_utf8(text.substr(pos));
    if (c.valid && !tables.is_stable(c.code)) return last;
    last = pos;
    pos += c.length;
    pos += ascii_length(text.substr(pos));
  }
  return text.size();
}

}  // namespace

bool is_nfc(std::string_view text) {
  const size_t ascii = ascii_length(text);
  return ascii == text.size() || stable_length(Tables::get(), text) == text.size();
}

void append_nfc(std::string_view text, std::string& out) {
  const Tables& tables = Tables::get();
  std::vector<Char> chars;
  while (true) {
    const size_t stable = stable_length(tables, text);
    out.append(text.substr(0, stable));
    text.remove_prefix(stable);
    if (text.empty()) return;
    // A character that may be a base, and the characters behind it that may belong to it.
    chars.clear();
    size_t pos = 0;
    while (pos < text.size()) {
      const Utf8Char c = decode_utf8(text.substr(pos));
      if (!c.valid || (pos > 0 && tables.is_stable(c.code))) break;
      tables.decompose(c.code, false, chars);
      pos += c.length;
    }
    reorder(chars);
    compose(tables, chars);
    for (const Char c : chars) append_utf8(out, c.code);
    // An invalid sequence stands between two parts; it is copied as it is.
    if (pos == 0) {
      pos = decode_utf8(text).length;
      out.append(text.substr(0, pos));
    }
    text.remove_prefix(pos);
  }
}

void append_nfd(std::string_view text, std::string& out) { append_form(text, false, false, out); }
void append_nfkc(std::string_view text, std::string& out) { append_form(text, true, true, out); }
void append_nfkd(std::string_view text, std::string& out) { append_form(text, true, false, out); }

void append_lowercase(std::string_view text, std::string& out) {
  append_each(text, out, [&](char32_t code) {
    constexpr char32_t kDottedCapitalI = 0x130;
    if (code < 0x80)
      out += static_cast<char>(code >= 'A' && code <= 'Z' ? code - 'A' + 'a' : code);
    else if (code == kDottedCapitalI)
      out += "i\u0307";
    else
      append_utf8(out, mapped(kLowercase, kLowercaseCount, code));
  });
}

void append_without_accents(std::string_view text, std::string& out) {
  static const CharSet accents = CharSet::of_property_bits(kAccentBit);
  append_each(text, out, [&](char32_t code) {
    if (!accents.contains(code)) append_utf8(out, code);
  });
}

}  // namespace pare
