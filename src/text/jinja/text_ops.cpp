#include "text/jinja/text_ops.h"

#include <algorithm>

#include "text/jinja/fault.h"
#include "text/jinja/python_text.h"
#include "text/jinja/text_search.h"
#include "text/jinja/value_ops.h"

namespace pare {
namespace {

constexpr size_t kNotFound = std::string_view::npos;

// Parts of a text, whose memory counts before they are values.
void add_part(std::vector<JinjaString>& parts, JinjaString part) {
  jinja_require_room(parts.size() * sizeof(JinjaString));
  parts.push_back(std::move(part));
}

bool holds_char(std::string_view chars, std::string_view one) {
  for (size_t pos = 0; pos < chars.size();) {
    const PythonChar c = python_char_at(chars, pos);
    if (chars.substr(c.begin, c.end - c.begin) == one) return true;
    pos = c.end;
  }
  return false;
}

std::vector<JinjaValue> values_of(std::vector<JinjaString> texts) {
  std::vector<JinjaValue> values;
  values.reserve(texts.size());
  for (JinjaString& text : texts) values.push_back(JinjaValue::string(std::move(text)));
  return values;
}

// Returns whether a character is one of the line ends that str.splitlines knows.
bool is_line_end(char32_t code) {
  return (code >= 0x0a && code <= 0x0d) || (code >= 0x1c && code <= 0x1e) || code == 0x85 || code == 0x2028 ||
         code == 0x2029;
}

std::vector<JinjaString> split_space(const JinjaString& text, int64_t limit) {
  std::vector<JinjaString> parts;
  const std::string_view plain = text.text();
  for (size_t pos = 0;;) {
    while (pos < plain.size() && python_char_at(plain, pos).is(kPySpace))
      pos = python_char_at(plain, pos).end;
    if (pos >= plain.size()) return parts;
    if (limit-- == 0) {
      add_part(parts, text.slice(pos, text.size()));
      return parts;
    }
    const size_t begin = pos;
    while (pos < plain.size() && !python_char_at(plain, pos).is(kPySpace))
      pos = python_char_at(plain, pos).end;
    add_part(parts, text.slice(begin, pos));
  }
}

std::vector<JinjaString> rsplit_space(const JinjaString& text, int64_t limit) {
  std::vector<JinjaString> parts;
  const std::string_view plain = text.text();
  for (size_t pos = plain.size();;) {
    while (pos > 0 && python_char_before(plain, pos).is(kPySpace)) pos = python_char_before(plain, pos).begin;
    if (pos == 0) break;
    if (limit-- == 0) {
      add_part(parts, text.slice(0, pos));
      break;
    }
    const size_t end = pos;
    while (pos > 0 && !python_char_before(plain, pos).is(kPySpace))
      pos = python_char_before(plain, pos).begin;
    add_part(parts, text.slice(pos, end));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

void require_separator(const JinjaString& separator) {
  if (separator.empty()) jinja_fault("empty separator");
}

}  // namespace

JinjaString strip_text(const JinjaString& text, const JinjaString* chars, JinjaSide side) {
  const std::string_view plain = text.text();
  const auto goes = [&](const PythonChar& c) {
    return chars ? holds_char(chars->text(), plain.substr(c.begin, c.end - c.begin)) : c.is(kPySpace);
  };
  size_t begin = 0;
  size_t end = plain.size();
  while (side != JinjaSide::kRight && begin < end) {
    const PythonChar c = python_char_at(plain, begin);
    if (!goes(c)) break;
    begin = c.end;
  }
  while (side != JinjaSide::kLeft && begin < end) {
    const PythonChar c = python_char_before(plain, end);
    if (!goes(c)) break;
    end = c.begin;
  }
  return begin == 0 && end == plain.size() ? text : text.slice(begin, end);
}

std::vector<JinjaValue> split_text(const JinjaString& text, const JinjaString* separator, int64_t limit) {
  if (!separator) return values_of(split_space(text, limit));
  require_separator(*separator);
  std::vector<JinjaValue> parts;
  size_t begin = 0;
  while (limit-- != 0) {
    const size_t at = jinja_find(text.text(), separator->text(), begin);
    if (at == kNotFound) break;
    parts.push_back(JinjaValue::string(text.slice(begin, at)));
    begin = at + separator->size();
  }
  parts.push_back(JinjaValue::string(text.slice(begin, text.size())));
  return parts;
}

std::vector<JinjaValue> rsplit_text(const JinjaString& text, const JinjaString* separator, int64_t limit) {
  if (!separator) return values_of(rsplit_space(text, limit));
  require_separator(*separator);
  std::vector<JinjaValue> parts;
  size_t end = text.size();
  while (limit-- != 0) {
    const size_t at = jinja_rfind(text.text(), separator->text(), end);
    if (at == kNotFound) break;
    parts.push_back(JinjaValue::string(text.slice(at + separator->size(), end)));
    end = at;
  }
  parts.push_back(JinjaValue::string(text.slice(0, end)));
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<JinjaString> split_lines(const JinjaString& text, bool keep_ends) {
  const std::string_view plain = text.text();
  std::vector<JinjaString> lines;
  size_t begin = 0;
  for (size_t pos = 0; pos < plain.size();) {
    const PythonChar c = python_char_at(plain, pos);
    pos = c.end;
    if (!c.valid || !is_line_end(c.code)) continue;
    if (c.code == '\r' && pos < plain.size() && plain[pos] == '\n') ++pos;
    add_part(lines, text.slice(begin, keep_ends ? pos : c.begin));
    begin = pos;
  }
  if (begin < plain.size()) add_part(lines, text.slice(begin, plain.size()));
  return lines;
}

JinjaString replace_text(const JinjaString& text, const JinjaString& from, const JinjaString& to,
                         int64_t limit) {
  const std::string_view plain = text.text();
  JinjaString out;
  const auto put = [&] {
    out.append(to);
    jinja_require_room(out.size());
  };
  if (from.empty()) {
    size_t pos = 0;
    for (; limit != 0; --limit) {
      put();
      if (pos >= plain.size()) break;
      const PythonChar c = python_char_at(plain, pos);
      out.append(text, c.begin, c.end);
      pos = c.end;
    }
    out.append(text, std::min(pos, plain.size()), plain.size());
    return out;
  }
  size_t begin = 0;
  for (; limit != 0; --limit) {
    const size_t at = jinja_find(plain, from.text(), begin);
    if (at == kNotFound) break;
    out.append(text, begin, at);
    put();
    begin = at + from.size();
  }
  if (begin == 0) return text;
  out.append(text, begin, plain.size());
  return out;
}

JinjaString pad_text(const JinjaString& text, int64_t width, const JinjaString& fill, JinjaSide padded) {
  if (python_length(fill.text()) != 1) jinja_fault("The fill character must be exactly one character long");
  const auto length = static_cast<int64_t>(python_length(text.text()));
  const int64_t missing = width - length;
  if (missing <= 0) return text;
  jinja_require_memory(fill.size(), static_cast<size_t>(missing));
  // Divides an odd number of fill characters as CPython's str.center does.
  const int64_t left = padded == JinjaSide::kBoth   ? missing / 2 + (missing & width & 1)
                       : padded == JinjaSide::kLeft ? missing
                                                    : 0;
  JinjaString out;
  for (int64_t i = 0; i < left; ++i) out.append(fill);
  out.append(text);
  for (int64_t i = left; i < missing; ++i) out.append(fill);
  return out;
}

JinjaString join_texts(const JinjaString& separator, const std::vector<JinjaValue>& items,
                       bool only_strings) {
  JinjaString out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append(separator);
    if (only_strings && !items[i].is_string())
      jinja_fault("sequence item {}: expected str instance, {} found", i, jinja_type_name(items[i]));
    out.append(items[i].is_string() ? items[i].text() : jinja_str(items[i]));
    jinja_require_room(out.size());
  }
  return out;
}

}  // namespace pare
