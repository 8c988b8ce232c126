// Filters that make text.
#include <algorithm>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/jinja/fault.h"
#include "text/jinja/python_text.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/text_search.h"
#include "text/jinja/value_ops.h"

namespace pare {
namespace {

using Value = JinjaValue;

int64_t width_arg(const JinjaBound& bound, size_t i, int64_t otherwise) {
  return static_cast<int64_t>(
      std::clamp<JinjaInt>(bound.integer(i, otherwise), INT64_MIN / 8, INT64_MAX / 8));
}

template <JinjaString (*Map)(const JinjaString&)>
Value mapped(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("filter", args, {});
  const JinjaString text = jinja_str(value);
  jinja_require_memory(text.size(), 3);
  return Value::string(Map(text));
}

Value trim(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("trim", args, {"chars"});
  if (!bound.given(0)) return Value::string(strip_text(jinja_str(value), nullptr, JinjaSide::kBoth));
  if (!bound[0].is_string()) jinja_fault("strip arg must be None or str");
  return Value::string(strip_text(jinja_str(value), &bound[0].text(), JinjaSide::kBoth));
}

// Words begin behind what jinja2 splits at: "([-\s({\[<]+)".
JinjaString title_of(const JinjaString& text) {
  JinjaString out;
  const std::string_view plain = text.text();
  const auto splits = [](const PythonChar& c) {
    return c.is(kPySpace) ||
           (c.valid && c.code < 128 &&
            std::string_view("-({[<").find(static_cast<char>(c.code)) != std::string_view::npos);
  };
  for (size_t pos = 0; pos < plain.size();) {
    const PythonChar first = python_char_at(plain, pos);
    size_t end = first.end;
    while (end < plain.size() && splits(python_char_at(plain, end)) == splits(first))
      end = python_char_at(plain, end).end;
    out.append(python_upper(text.slice(pos, first.end)));
    out.append(python_lower(text.slice(first.end, end)));
    pos = end;
  }
  return out;
}

Value replace(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("replace", args, {"old", "new", "count"}, 2);
  const int64_t count = bound.given(2) ? width_arg(bound, 2, -1) : -1;
  return Value::string(replace_text(jinja_str(value), jinja_str(bound[0]), jinja_str(bound[1]), count));
}

Value center(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("center", args, {"width"});
  return Value::string(
      pad_text(jinja_str(value), width_arg(bound, 0, 80), JinjaString(" "), JinjaSide::kBoth));
}

Value string(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("string", args, {});
  return Value::string(jinja_str(value));
}

// Autoescaping is off: a text that is marked safe is a text.
Value escape(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("escape", args, {});
  const JinjaString text = jinja_str(value);
  jinja_require_memory(text.size(), 5);
  JinjaString out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text.text()[i];
    const std::string_view named = c == '&'    ? "&amp;"
                                   : c == '<'  ? "&lt;"
                                   : c == '>'  ? "&gt;"
                                   : c == '"'  ? "&#34;"
                                   : c == '\'' ? "&#39;"
                                               : std::string_view(&c, 1);
    out.append(named, text.origin_at(i));
  }
  return Value::string(std::move(out));
}

Value indent(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("indent", args, {"width", "first", "blank"});
  jinja_require_defined(value);
  if (!value.is_string())
    jinja_fault("unsupported operand type(s) for +=: '{}' and 'str'", jinja_type_name(value));
  JinjaString indention;
  if (bound.has(0) && bound[0].is_string()) {
    indention = bound[0].text();
  } else {
    const int64_t width = std::max<int64_t>(0, width_arg(bound, 0, 4));
    jinja_require_memory(static_cast<size_t>(width));
    indention = JinjaString(std::string(static_cast<size_t>(width), ' '));
  }
  const bool blank = bound.truth(2, false);
  JinjaString text = value.text();
  text.append("\n");
  JinjaString out;
  if (bound.truth(1, false)) out.append(indention);
  bool first = true;
  size_t pos = 0;
  for (const JinjaString& line : split_lines(text, false)) {
    if (!first) {
      out.append("\n", text.origin_at(pos > 0 ? pos - 1 : 0));
      if (blank || !line.empty()) out.append(indention);
    }
    pos += line.size() + 1;
    first = false;
    out.append(line);
    jinja_require_room(out.size());
  }
  return Value::string(std::move(out));
}

Value truncate(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("truncate", args, {"length", "killwords", "end", "leeway"});
  const JinjaString end = bound.has(2) ? jinja_str(bound[2]) : JinjaString("...");
  const int64_t length = width_arg(bound, 0, 255);
  const int64_t leeway = bound.given(3) ? width_arg(bound, 3, 5) : 5;
  const auto end_length = static_cast<int64_t>(python_length(end.text()));
  if (length < end_length) jinja_fault("expected length >= {}, got {}", end_length, length);
  if (leeway < 0) jinja_fault("expected leeway >= 0, got {}", leeway);
  if (static_cast<int64_t>(jinja_length(value)) <= length + leeway) return value;
  if (!value.is_string()) jinja_fault("object of type '{}' cannot be truncated", jinja_type_name(value));
  const JinjaString& text = value.text();
  JinjaString cut = text.slice(0, python_offset(text.text(), static_cast<size_t>(length - end_length)));
  if (!bound.truth(1, false)) {
    const size_t space = jinja_rfind(cut.text(), " ", cut.size());
    if (space != std::string::npos) cut = cut.slice(0, space);
  }
  cut.append(end);
  return Value::string(std::move(cut));
}

Value wordcount(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("wordcount", args, {});
  const JinjaString text = jinja_str(value);
  constexpr uint16_t kWord = kPyAlpha | kPyDecimal | kPyDigit | kPyNumeric;
  JinjaInt words = 0;
  bool inside = false;
  for (size_t pos = 0; pos < text.size();) {
    const PythonChar c = python_char_at(text.text(), pos);
    const bool word = (c.classes() & kWord) != 0 || c.code == '_';
    words += word && !inside ? 1 : 0;
    inside = word;
    pos = c.end;
  }
  return Value::integer(words);
}

JinjaString quoted(const JinjaString& text, std::string_view safe, bool plus) {
  jinja_require_memory(text.size(), 3);
  JinjaString out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text.text()[i]);
    const auto c = static_cast<char>(byte);
    const bool kept = byte < 128 && ((python_classes(byte) & (kPyAlpha | kPyDecimal)) != 0 ||
                                     std::string_view("_.-~").find(c) != std::string_view::npos ||
                                     safe.find(c) != std::string_view::npos);
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const char escaped[] = {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    const std::string_view piece = kept               ? std::string_view(&c, 1)
                                   : plus && c == ' ' ? std::string_view("+")
                                                      : std::string_view(escaped, sizeof(escaped));
    out.append(piece, text.origin_at(i));
  }
  return out;
}

Value urlencode(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("urlencode", args, {});
  if (!value.is_list() && !value.is_dict()) return Value::string(quoted(jinja_str(value), "/", false));
  std::vector<std::pair<Value, Value>> pairs;
  if (value.is_dict()) {
    jinja_require_memory(value.entries().entries.size(), sizeof(pairs[0]));
    pairs = value.entries().entries;
  } else {
    for (const Value& item : jinja_items(value)) {
      const std::vector<Value> pair = jinja_items(item);
      if (pair.size() != 2) jinja_fault("not enough values to unpack (expected 2, got {})", pair.size());
      jinja_require_room(pairs.size() * sizeof(pairs[0]));
      pairs.emplace_back(pair[0], pair[1]);
    }
  }
  JinjaString out;
  for (const auto& [key, item] : pairs) {
    if (!out.empty()) out.append("&");
    out.append(quoted(jinja_str(key), "", true));
    out.append("=");
    out.append(quoted(jinja_str(item), "", true));
    jinja_require_room(out.size());
  }
  return Value::string(std::move(out));
}

Value format(const Value& value, const JinjaArgs& args) {
  if (!args.positional.empty() && !args.keyword.empty())
    jinja_fault("can't handle positional and keyword arguments at the same time");
  if (args.keyword.empty())
    return Value::string(jinja_percent(jinja_str(value), Value::tuple(args.positional)));
  Value named = Value::dict();
  for (const auto& [name, arg] : args.keyword) named.set(name, arg);
  return Value::string(jinja_percent(jinja_str(value), named));
}

Value filesizeformat(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("filesizeformat", args, {"binary"});
  const bool binary = bound.truth(0, false);
  const double bytes = jinja_to_float(value);
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return Value::string("1 Byte");
  if (bytes < base) return Value::string(fmt::format("{} Bytes", static_cast<int64_t>(bytes)));
  std::string unit;
  double next = base;
  for (const char letter : std::string_view(binary ? "KMGTPEZY" : "kMGTPEZY")) {
    unit = std::string(1, letter) + (binary ? "iB" : "B");
    next *= base;
    if (bytes < next) break;
  }
  return Value::string(fmt::format("{:.1f} {}", base * bytes / next, unit));
}

Value tojson(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JinjaJsonStyle style;
  style.ensure_ascii = bound.truth(0, false);
  style.sort_keys = bound.truth(3, false);
  if (bound.given(1)) {
    style.has_indent = true;
    style.item_separator = JinjaString(",");
    if (bound[1].is_string()) {
      style.indent = bound[1].text();
    } else {
      const auto width = static_cast<size_t>(std::max<int64_t>(0, width_arg(bound, 1, 0)));
      jinja_require_memory(width);
      style.indent = JinjaString(std::string(width, ' '));
    }
  }
  if (bound.given(2)) {
    const std::vector<Value> separators = jinja_items(bound[2]);
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string())
      jinja_fault("separators must be two strings");
    style.item_separator = separators[0].text();
    style.key_separator = separators[1].text();
  }
  return Value::string(jinja_json(value, style));
}

struct Entry {
  std::string_view name;
  JinjaFilter filter;
};
constexpr Entry kFilters[] = {
    {"trim", trim},
    {"lower", mapped<python_lower>},
    {"upper", mapped<python_upper>},
    {"capitalize", mapped<python_capitalize>},
    {"title", mapped<title_of>},
    {"replace", replace},
    {"tojson", tojson},
    {"string", string},
    {"safe", string},
    {"escape", escape},
    {"e", escape},
    {"forceescape", escape},
    {"indent", indent},
    {"center", center},
    {"truncate", truncate},
    {"wordcount", wordcount},
    {"urlencode", urlencode},
    {"format", format},
    {"filesizeformat", filesizeformat},
};

}  // namespace

JinjaFilter find_text_filter(std::string_view name) {
  for (const Entry& entry : kFilters)
    if (entry.name == name) return entry.filter;
  return nullptr;
}

}  // namespace pare
