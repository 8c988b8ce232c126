// The methods of str.
#include <algorithm>
#include <array>

#include "text/jinja/fault.h"
#include "text/jinja/methods.h"
#include "text/jinja/python_text.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/text_search.h"
#include "text/jinja/value_ops.h"

namespace pare {
namespace {

using Value = JinjaValue;

const JinjaString& text_arg(const JinjaBound& bound, size_t i) {
  jinja_require_defined(bound[i]);
  if (!bound[i].is_string()) jinja_fault("must be str, not {}", jinja_type_name(bound[i]));
  return bound[i].text();
}

// An optional text: null where absent or None.
const JinjaString* optional_text(const JinjaBound& bound, size_t i) {
  return bound.given(i) ? &text_arg(bound, i) : nullptr;
}

int64_t limit_arg(const JinjaBound& bound, size_t i) {
  return static_cast<int64_t>(std::clamp<JinjaInt>(bound.integer(i, -1), -1, INT64_MAX));
}

Value strip_side(std::string_view name, const Value& self, const JinjaArgs& args, JinjaSide side) {
  const JinjaBound bound(name, args, {"chars"});
  return Value::string(strip_text(self.text(), optional_text(bound, 0), side));
}

Value split(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("split", args, {"sep", "maxsplit"});
  return Value::list(split_text(self.text(), optional_text(bound, 0), limit_arg(bound, 1)));
}

Value rsplit(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("rsplit", args, {"sep", "maxsplit"});
  return Value::list(rsplit_text(self.text(), optional_text(bound, 0), limit_arg(bound, 1)));
}

Value splitlines(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("splitlines", args, {"keepends"});
  std::vector<Value> lines;
  for (JinjaString& line : split_lines(self.text(), bound.truth(0, false)))
    lines.push_back(Value::string(std::move(line)));
  return Value::list(std::move(lines));
}

Value replace(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("replace", args, {"old", "new", "count"}, 2);
  return Value::string(
      replace_text(self.text(), text_arg(bound, 0), text_arg(bound, 1), limit_arg(bound, 2)));
}

// The bytes that optional arguments `start` and `end` of find, count and startswith leave; nothing where they
// leave no place even for an empty text.
struct Window {
  size_t begin;
  size_t end;
};
std::optional<Window> window(const JinjaString& text, const JinjaBound& bound) {
  if (!bound.given(1) && !bound.given(2)) return Window{0, text.size()};
  const auto length = static_cast<JinjaInt>(python_length(text.text()));
  const auto at = [&](size_t i, JinjaInt otherwise) {
    JinjaInt index = bound.given(i) ? jinja_index(bound[i]) : otherwise;
    if (index < 0) index = std::max<JinjaInt>(0, index + length);
    return index;
  };
  const JinjaInt start = at(1, 0);
  const JinjaInt stop = std::min(length, at(2, length));
  if (start > stop) return std::nullopt;
  return Window{python_offset(text.text(), static_cast<size_t>(start)),
                python_offset(text.text(), static_cast<size_t>(stop))};
}

// Returns the number of characters before the found place, or -1.
int64_t find_in(std::string_view name, const Value& self, const JinjaArgs& args, bool last) {
  const JinjaBound bound(name, args, {"sub", "start", "end"}, 1);
  const std::string& wanted = text_arg(bound, 0).text();
  const auto part = window(self.text(), bound);
  if (!part) return -1;
  const std::string_view where = std::string_view(self.str()).substr(part->begin, part->end - part->begin);
  const size_t at = last ? jinja_rfind(where, wanted, where.size()) : jinja_find(where, wanted);
  if (at == std::string_view::npos) return -1;
  return static_cast<int64_t>(python_length(std::string_view(self.str()).substr(0, part->begin + at)));
}

Value index_in(std::string_view name, const Value& self, const JinjaArgs& args, bool last) {
  const int64_t at = find_in(name, self, args, last);
  if (at < 0) jinja_fault("substring not found");
  return Value::integer(at);
}

Value count(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("count", args, {"sub", "start", "end"}, 1);
  const std::string& wanted = text_arg(bound, 0).text();
  const auto part = window(self.text(), bound);
  if (!part) return Value::integer(0);
  const std::string_view where = std::string_view(self.str()).substr(part->begin, part->end - part->begin);
  if (wanted.empty()) return Value::integer(static_cast<JinjaInt>(python_length(where)) + 1);
  int64_t found = 0;
  for (size_t at = jinja_find(where, wanted); at != std::string_view::npos;
       at = jinja_find(where, wanted, at + wanted.size()))
    ++found;
  return Value::integer(found);
}

bool has_affix(std::string_view text, std::string_view affix, bool at_end) {
  if (affix.size() > text.size()) return false;
  return jinja_same_text(text.substr(at_end ? text.size() - affix.size() : 0, affix.size()), affix);
}

Value with_affix(std::string_view name, const Value& self, const JinjaArgs& args, bool at_end) {
  const JinjaBound bound(name, args, {"prefix", "start", "end"}, 1);
  const auto part = window(self.text(), bound);
  const auto matches = [&](const Value& affix) {
    jinja_require_defined(affix);
    if (!affix.is_string())
      jinja_fault("{} first arg must be str or a tuple of str, not {}", name, jinja_type_name(affix));
    if (!part) return false;
    const std::string_view where = std::string_view(self.str()).substr(part->begin, part->end - part->begin);
    return has_affix(where, affix.str(), at_end);
  };
  if (bound[0].is_list() && bound[0].items().is_tuple()) {
    const auto& affixes = bound[0].items().items;
    return Value::boolean(std::any_of(affixes.begin(), affixes.end(), matches));
  }
  return Value::boolean(matches(bound[0]));
}

Value remove_affix(std::string_view name, const Value& self, const JinjaArgs& args, bool at_end) {
  const JinjaBound bound(name, args, {"prefix"}, 1);
  const JinjaString& affix = text_arg(bound, 0);
  const JinjaString& text = self.text();
  if (affix.empty()) return self;
  if (!has_affix(text.text(), affix.text(), at_end)) return self;
  return Value::string(at_end ? text.slice(0, text.size() - affix.size())
                              : text.slice(affix.size(), text.size()));
}

Value partition(std::string_view name, const Value& self, const JinjaArgs& args, bool last) {
  const JinjaBound bound(name, args, {"sep"}, 1);
  const JinjaString& separator = text_arg(bound, 0);
  if (separator.empty()) jinja_fault("empty separator");
  const JinjaString& text = self.text();
  const size_t at = last ? jinja_rfind(text.text(), separator.text(), text.size())
                         : jinja_find(text.text(), separator.text());
  const Value none = Value::string(std::string());
  if (at == std::string::npos) {
    return last ? Value::tuple({none, none, self}) : Value::tuple({self, none, none});
  }
  const size_t behind = at + separator.size();
  return Value::tuple({Value::string(text.slice(0, at)), Value::string(text.slice(at, behind)),
                       Value::string(text.slice(behind, text.size()))});
}

Value pad(std::string_view name, const Value& self, const JinjaArgs& args, JinjaSide side) {
  const JinjaBound bound(name, args, {"width", "fillchar"}, 1);
  const auto width = static_cast<int64_t>(std::clamp<JinjaInt>(jinja_index(bound[0]), 0, INT64_MAX / 8));
  return Value::string(
      pad_text(self.text(), width, bound.has(1) ? text_arg(bound, 1) : JinjaString(" "), side));
}

Value zfill(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("zfill", args, {"width"}, 1);
  const auto width = static_cast<int64_t>(std::clamp<JinjaInt>(jinja_index(bound[0]), 0, INT64_MAX / 8));
  const JinjaString& text = self.text();
  const size_t sign = !text.empty() && (text.text()[0] == '+' || text.text()[0] == '-') ? 1 : 0;
  JinjaString out = text.slice(0, sign);
  out.append(pad_text(text.slice(sign, text.size()), width - static_cast<int64_t>(sign), JinjaString("0"),
                      JinjaSide::kLeft));
  return Value::string(std::move(out));
}

Value join(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("join", args, {"iterable"}, 1);
  return Value::string(join_texts(self.text(), jinja_items(bound[0]), true));
}

Value expandtabs(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("expandtabs", args, {"tabsize"});
  const auto size = static_cast<int64_t>(std::clamp<JinjaInt>(bound.integer(0, 8), 0, 1 << 20));
  const JinjaString& text = self.text();
  JinjaString out;
  int64_t column = 0;
  for (size_t pos = 0; pos < text.size();) {
    const PythonChar c = python_char_at(text.text(), pos);
    pos = c.end;
    if (c.code == '\t') {
      const int64_t spaces = size > 0 ? size - column % size : 0;
      out.append(std::string(static_cast<size_t>(spaces), ' '), text.origin_at(c.begin));
      jinja_require_room(out.size());
      column += spaces;
    } else {
      out.append(text, c.begin, c.end);
      column = c.code == '\n' || c.code == '\r' ? 0 : column + 1;
    }
  }
  return Value::string(std::move(out));
}

Value casefold(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("casefold", args, {});
  if (!is_ascii(self.str())) jinja_unsupported("casefold of characters beyond ASCII is not supported");
  return Value::string(python_lower(self.text()));
}

Value isidentifier(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("isidentifier", args, {});
  const std::string& text = self.str();
  return Value::boolean(!text.empty() && python_char_at(text, 0).is(kPyIdentifierStart) &&
                        python_all(text, kPyIdentifierPart));
}

Value format(const Value& self, const JinjaArgs& args) {
  return Value::string(jinja_format(self.text(), args));
}

Value format_map(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("format_map", args, {"mapping"}, 1);
  if (!bound[0].is_dict()) jinja_fault("format_map() argument must be a mapping");
  JinjaArgs named;
  for (const auto& [key, value] : bound[0].entries().entries)
    if (key.is_string()) {
      jinja_require_memory(sizeof(named.keyword[0]) + key.str().size());
      named.keyword.emplace_back(key.str(), value);
    }
  return Value::string(jinja_format(self.text(), named));
}

template <JinjaString (*Map)(const JinjaString&)>
Value mapped(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("str method", args, {});
  jinja_require_memory(self.str().size(), 3);
  return Value::string(Map(self.text()));
}

template <bool (*Is)(std::string_view)>
Value cased(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("str method", args, {});
  return Value::boolean(Is(self.str()));
}

template <uint16_t Classes, bool Empty = false>
Value all_of(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("str method", args, {});
  return Value::boolean((Empty && self.str().empty()) || python_all(self.str(), Classes));
}

[[noreturn]] Value refuse(const Value&, const JinjaArgs&) {
  jinja_unsupported("encode, translate and maketrans of str are not supported");
}

struct Entry {
  std::string_view name;
  JinjaMethod method;
};

constexpr Entry kMethods[] = {
    {"strip", [](const Value& s, const JinjaArgs& a) { return strip_side("strip", s, a, JinjaSide::kBoth); }},
    {"lstrip",
     [](const Value& s, const JinjaArgs& a) { return strip_side("lstrip", s, a, JinjaSide::kLeft); }},
    {"rstrip",
     [](const Value& s, const JinjaArgs& a) { return strip_side("rstrip", s, a, JinjaSide::kRight); }},
    {"split", split},
    {"rsplit", rsplit},
    {"splitlines", splitlines},
    {"replace", replace},
    {"startswith", [](const Value& s, const JinjaArgs& a) { return with_affix("startswith", s, a, false); }},
    {"endswith", [](const Value& s, const JinjaArgs& a) { return with_affix("endswith", s, a, true); }},
    {"removeprefix",
     [](const Value& s, const JinjaArgs& a) { return remove_affix("removeprefix", s, a, false); }},
    {"removesuffix",
     [](const Value& s, const JinjaArgs& a) { return remove_affix("removesuffix", s, a, true); }},
    {"find", [](const Value& s, const JinjaArgs& a) { return Value::integer(find_in("find", s, a, false)); }},
    {"rfind",
     [](const Value& s, const JinjaArgs& a) { return Value::integer(find_in("rfind", s, a, true)); }},
    {"index", [](const Value& s, const JinjaArgs& a) { return index_in("index", s, a, false); }},
    {"rindex", [](const Value& s, const JinjaArgs& a) { return index_in("rindex", s, a, true); }},
    {"count", count},
    {"partition", [](const Value& s, const JinjaArgs& a) { return partition("partition", s, a, false); }},
    {"rpartition", [](const Value& s, const JinjaArgs& a) { return partition("rpartition", s, a, true); }},
    {"join", join},
    {"format", format},
    {"format_map", format_map},
    {"lower", mapped<python_lower>},
    {"upper", mapped<python_upper>},
    {"title", mapped<python_title>},
    {"capitalize", mapped<python_capitalize>},
    {"swapcase", mapped<python_swapcase>},
    {"casefold", casefold},
    {"center", [](const Value& s, const JinjaArgs& a) { return pad("center", s, a, JinjaSide::kBoth); }},
    {"ljust", [](const Value& s, const JinjaArgs& a) { return pad("ljust", s, a, JinjaSide::kRight); }},
    {"rjust", [](const Value& s, const JinjaArgs& a) { return pad("rjust", s, a, JinjaSide::kLeft); }},
    {"zfill", zfill},
    {"expandtabs", expandtabs},
    {"isupper", cased<python_is_upper>},
    {"islower", cased<python_is_lower>},
    {"istitle", cased<python_is_title>},
    {"isascii", cased<is_ascii>},
    {"isalpha", all_of<kPyAlpha>},
    {"isalnum", all_of<kPyAlpha | kPyDecimal | kPyDigit | kPyNumeric>},
    {"isdecimal", all_of<kPyDecimal>},
    {"isdigit", all_of<kPyDigit>},
    {"isnumeric", all_of<kPyNumeric>},
    {"isspace", all_of<kPySpace>},
    {"isprintable", all_of<kPyPrintable, true>},
    {"isidentifier", isidentifier},
    {"encode", refuse},
    {"translate", refuse},
    {"maketrans", refuse},
};

}  // namespace

JinjaMethod find_string_method(std::string_view name) {
  for (const Entry& entry : kMethods)
    if (entry.name == name) return entry.method;
  return nullptr;
}

}  // namespace pare
