#include "text/jinja/python_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "text/jinja/meter.h"
#include "text/jinja/python_tables.h"
#include "text/unicode/utf8.h"

namespace pare {
namespace {

constexpr std::array<uint16_t, 128> make_ascii_classes() {
  std::array<uint16_t, 128> classes{};
  for (int c = 32; c < 127; ++c) classes[c] = kPyPrintable;
  for (int c = 'a'; c <= 'z'; ++c)
    classes[c] |= kPyAlpha | kPyLower | kPyCased | kPyIdentifierStart | kPyIdentifierPart;
  for (int c = 'A'; c <= 'Z'; ++c)
    classes[c] |= kPyAlpha | kPyUpper | kPyCased | kPyIdentifierStart | kPyIdentifierPart;
  for (int c = '0'; c <= '9'; ++c) classes[c] |= kPyDecimal | kPyDigit | kPyNumeric | kPyIdentifierPart;
  classes['_'] |= kPyIdentifierStart | kPyIdentifierPart;
  for (int c = '\t'; c <= '\r'; ++c) classes[c] |= kPySpace;
  for (int c = 0x1c; c <= 0x20; ++c) classes[c] |= kPySpace;
  for (const unsigned char c : {'\'', '.', ':', '^', '`'}) classes[c] |= kPyCaseIgnorable;
  return classes;
}
constexpr std::array<uint16_t, 128> kAsciiClasses = make_ascii_classes();

// Work, in bytes that could be copied meanwhile.
constexpr size_t kAsciiWork = 4;    // reading a character
constexpr size_t kDecodeWork = 16;  // reading a character of several bytes
constexpr size_t kSearchWork = 32;  // finding a character in a table

// The last entry that begins at or before `code`, null if there is none.
template <typename Entry, typename First>
const Entry* entry_of(const Entry* entries, size_t count, char32_t code, First first) {
  jinja_spend(kSearchWork);
  const Entry* after = std::upper_bound(entries, entries + count, code,
                                        [&](char32_t at, const Entry& entry) { return at < first(entry); });
  return after == entries ? nullptr : after - 1;
}

struct CaseTable {
  const CaseRun* runs;
  size_t run_count;
  const PythonCaseSpecial* specials;
  size_t special_count;
};
const CaseTable kLowerTable = {kPythonLower, kPythonLowerCount, kPythonLowerSpecial,
                               kPythonLowerSpecialCount};
const CaseTable kUpperTable = {kPythonUpper, kPythonUpperCount, kPythonUpperSpecial,
                               kPythonUpperSpecialCount};
const CaseTable kTitleTable = {kPythonTitle, kPythonTitleCount, kPythonTitleSpecial,
                               kPythonTitleSpecialCount};

void append_mapped(const CaseTable& table, char32_t code, std::string& out) {
  if (code < 128) {
    const bool lower = &table == &kLowerTable;
    const auto c = static_cast<char>(code);
    const char from = lower ? 'A' : 'a';
    out.push_back(c >= from && c < from + 26 ? static_cast<char>(c ^ 0x20) : c);
    return;
  }
  const auto* special = entry_of(table.specials, table.special_count, code,
                                 [](const PythonCaseSpecial& entry) { return entry.code; });
  if (special && special->code == code) {
    for (const uint32_t to : special->to)
      if (to) append_utf8(out, to);
    return;
  }
  append_utf8(out, mapped(table.runs, table.run_count, code));
}

// Unicode standard, 3.13: a sigma behind a cased letter and before none is a final one.
bool is_final_sigma(std::string_view text, const PythonChar& sigma) {
  size_t pos = sigma.begin;
  bool behind_letter = false;
  while (pos > 0) {
    const PythonChar c = python_char_before(text, pos);
    pos = c.begin;
    if (c.is(kPyCaseIgnorable)) continue;
    behind_letter = c.is(kPyCased);
    break;
  }
  if (!behind_letter) return false;
  for (pos = sigma.end; pos < text.size();) {
    const PythonChar c = python_char_at(text, pos);
    pos = c.end;
    if (!c.is(kPyCaseIgnorable)) return !c.is(kPyCased);
  }
  return true;
}

void append_lower(std::string_view text, const PythonChar& c, std::string& out) {
  constexpr char32_t kSigma = 0x3a3;
  if (c.code == kSigma) {
    append_utf8(out, is_final_sigma(text, c) ? char32_t{0x3c2} : char32_t{0x3c3});
  } else {
    append_mapped(kLowerTable, c.code, out);
  }
}

// append(c, out) writes what becomes of each valid character.
template <typename Append>
JinjaString map_chars(const JinjaString& text, Append&& append) {
  JinjaString out;
  std::string mapped;
  text.for_each_run([&](size_t begin, size_t end, int32_t origin) {
    mapped.clear();
    for (size_t pos = begin; pos < end;) {
      PythonChar c = python_char_at(text.text(), pos);
      if (c.valid) {
        append(c, mapped);
      } else {
        mapped.append(text.text(), c.begin, c.end - c.begin);
      }
      pos = c.end;
    }
    out.append(mapped, origin);
  });
  return out;
}

}  // namespace

uint16_t python_classes(char32_t code) {
  if (code < 128) return kAsciiClasses[code];
  const auto* range = entry_of(kPythonClasses, kPythonClassesCount, code,
                               [](const PythonClassRange& entry) { return entry.first; });
  return range && code <= range->last ? range->classes : uint16_t{0};
}

PythonChar python_char_at(std::string_view text, size_t pos) {
  const auto byte = static_cast<unsigned char>(text[pos]);
  jinja_spend(byte < 128 ? kAsciiWork : kDecodeWork);
  if (byte < 128) return {byte, pos, pos + 1, true};
  const Utf8Char c = decode_utf8(text.substr(pos));
  return {c.code, pos, pos + c.length, c.valid};
}

PythonChar python_char_before(std::string_view text, size_t pos) {
  for (size_t back = 1; back <= std::min<size_t>(4, pos); ++back) {
    const PythonChar c = python_char_at(text, pos - back);
    if (c.end == pos && c.valid) return c;
  }
  return {0, pos - 1, pos, false};
}

bool is_ascii(std::string_view text) {
  jinja_spend(text.size());
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 128; });
}

size_t python_length(std::string_view text) {
  size_t count = 0;
  for (size_t pos = 0; pos < text.size(); ++count) pos = python_char_at(text, pos).end;
  return count;
}

size_t python_offset(std::string_view text, size_t index) {
  size_t pos = 0;
  for (; index > 0 && pos < text.size(); --index) pos = python_char_at(text, pos).end;
  return pos;
}

JinjaString python_lower(const JinjaString& text) {
  return map_chars(text, [&](const PythonChar& c, std::string& out) { append_lower(text.text(), c, out); });
}

JinjaString python_upper(const JinjaString& text) {
  return map_chars(text,
                   [](const PythonChar& c, std::string& out) { append_mapped(kUpperTable, c.code, out); });
}

JinjaString python_title(const JinjaString& text) {
  bool inside = false;
  return map_chars(text, [&](const PythonChar& c, std::string& out) {
    if (inside) {
      append_lower(text.text(), c, out);
    } else {
      append_mapped(kTitleTable, c.code, out);
    }
    inside = c.is(kPyCased);
  });
}

JinjaString python_capitalize(const JinjaString& text) {
  return map_chars(text, [&](const PythonChar& c, std::string& out) {
    if (c.begin == 0) {
      append_mapped(kTitleTable, c.code, out);
    } else {
      append_lower(text.text(), c, out);
    }
  });
}

JinjaString python_swapcase(const JinjaString& text) {
  return map_chars(text, [&](const PythonChar& c, std::string& out) {
    if (c.is(kPyUpper)) {
      append_lower(text.text(), c, out);
    } else {
      append_mapped(c.is(kPyLower) ? kUpperTable : kLowerTable, c.code, out);
    }
  });
}

namespace {

// Returns whether some character is cased the one way and none the other.
bool is_cased_as(std::string_view text, PythonClass wanted, uint16_t refused) {
  bool seen = false;
  for (size_t pos = 0; pos < text.size();) {
    const PythonChar c = python_char_at(text, pos);
    if (c.classes() & refused) return false;
    seen = seen || c.is(wanted);
    pos = c.end;
  }
  return seen;
}

}  // namespace

bool python_is_upper(std::string_view text) { return is_cased_as(text, kPyUpper, kPyLower | kPyTitle); }
bool python_is_lower(std::string_view text) { return is_cased_as(text, kPyLower, kPyUpper | kPyTitle); }

bool python_is_title(std::string_view text) {
  bool inside = false;
  bool seen = false;
  for (size_t pos = 0; pos < text.size();) {
    const PythonChar c = python_char_at(text, pos);
    pos = c.end;
    const bool first = (c.classes() & (kPyUpper | kPyTitle)) != 0;
    if (first ? inside : c.is(kPyLower) && !inside) return false;
    inside = first || c.is(kPyLower);
    seen = seen || inside;
  }
  return seen;
}

bool python_all(std::string_view text, uint16_t any_of) {
  for (size_t pos = 0; pos < text.size();) {
    const PythonChar c = python_char_at(text, pos);
    if (!(c.classes() & any_of)) return false;
    pos = c.end;
  }
  return !text.empty();
}

int python_digit(char32_t code) {
  if (code < 128) return code >= '0' && code <= '9' ? static_cast<int>(code - '0') : -1;
  const auto* zero = entry_of(kPythonZeros, kPythonZerosCount, code, [](char32_t first) { return first; });
  return zero && code < *zero + 10 ? static_cast<int>(code - *zero) : -1;
}

JinjaString python_repr(const JinjaString& text) {
  const std::string& plain = text.text();
  jinja_spend(2 * plain.size());
  const bool doubled = plain.find('\'') != std::string::npos && plain.find('"') == std::string::npos;
  const char quote = doubled ? '"' : '\'';
  JinjaString out(std::string(1, quote));
  out.append(map_chars(text, [quote](const PythonChar& c, std::string& to) {
    const auto put = std::back_inserter(to);
    if (c.code == static_cast<unsigned char>(quote) || c.code == '\\') {
      to.push_back('\\');
      to.push_back(static_cast<char>(c.code));
    } else if (c.code == '\n') {
      to += "\\n";
    } else if (c.code == '\r') {
      to += "\\r";
    } else if (c.code == '\t') {
      to += "\\t";
    } else if (c.is(kPyPrintable)) {
      append_utf8(to, c.code);
    } else if (c.code < 0x100) {
      fmt::format_to(put, "\\x{:02x}", static_cast<uint32_t>(c.code));
    } else if (c.code < 0x10000) {
      fmt::format_to(put, "\\u{:04x}", static_cast<uint32_t>(c.code));
    } else {
      fmt::format_to(put, "\\U{:08x}", static_cast<uint32_t>(c.code));
    }
  }));
  out.append(std::string_view(&quote, 1));
  return out;
}

std::string_view python_strip(std::string_view text) {
  while (!text.empty() && python_char_at(text, 0).is(kPySpace))
    text.remove_prefix(python_char_at(text, 0).end);
  while (!text.empty()) {
    const PythonChar c = python_char_before(text, text.size());
    if (!c.is(kPySpace)) break;
    text.remove_suffix(text.size() - c.begin);
  }
  return text;
}

}  // namespace pare
