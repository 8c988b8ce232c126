// "…" % values and "…".format(…).
#include <algorithm>
#include <cmath>

#include "text/jinja/fault.h"
#include "text/jinja/format_spec.h"
#include "text/jinja/object.h"
#include "text/jinja/python_text.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/text_search.h"
#include "text/jinja/value_ops.h"

namespace pare {
namespace {

constexpr size_t kReadWork = 8;  // for each byte of a format
constexpr size_t kNameWork = 4;  // for each argument that a search passes by

// Reads a format from left to right.
struct Reader {
  const JinjaString& format;
  size_t pos = 0;

  bool done() const { return pos >= format.size(); }
  char peek() const { return done() ? '\0' : format.text()[pos]; }
  bool skip(char c) {
    if (peek() != c || done()) return false;
    ++pos;
    return true;
  }
  // A number of at most six digits.
  std::optional<int> number() {
    if (peek() < '0' || peek() > '9') return std::nullopt;
    int value = 0;
    while (peek() >= '0' && peek() <= '9') {
      value = value * 10 + (peek() - '0');
      if (value > kMaxFormatWidth) jinja_fault("a width beyond {} is not supported", kMaxFormatWidth);
      ++pos;
    }
    return value;
  }
};

// The values behind a %, one after the other or by name.
class PercentValues {
 public:
  explicit PercentValues(const JinjaValue& values) : values_(values) {
    if (values.is_list() && values.items().is_tuple()) {
      jinja_require_memory(values.items().items.size(), sizeof(JinjaValue));
      items_ = values.items().items;
      is_tuple_ = true;
    } else {
      items_ = {values};
    }
  }
  JinjaValue next() {
    if (used_ >= items_.size()) jinja_fault("not enough arguments for format string");
    return items_[used_++];
  }
  JinjaValue named(const std::string& name) {
    if (!values_.is_dict()) jinja_fault("format requires a mapping");
    const JinjaValue* const found = values_.entries().find(name);
    if (!found) jinja_fault("{}", python_repr(JinjaString(name)).text());
    used_ = items_.size();
    return *found;
  }
  void require_all_used() const {
    const bool may_stay = !is_tuple_ && (values_.is_dict() || (values_.is_list() && !is_tuple_));
    if (used_ < items_.size() && !may_stay)
      jinja_fault("not all arguments converted during string formatting");
  }

 private:
  const JinjaValue& values_;
  std::vector<JinjaValue> items_;
  bool is_tuple_ = false;
  size_t used_ = 0;
};

JinjaValue percent_number(const JinjaValue& value, char type) {
  jinja_require_defined(value);
  if (!value.is_number())
    jinja_fault("%{} format: a real number is required, not {}", type, jinja_type_name(value));
  if (value.is_integer()) return JinjaValue::integer(value.as_int());
  if (!std::isfinite(value.as_float()) || std::fabs(value.as_float()) > 1.7e38)
    jinja_fault("cannot convert float {} to integer", jinja_float_repr(value.as_float()));
  return JinjaValue::integer(static_cast<JinjaInt>(value.as_float()));
}

JinjaString percent_char(const JinjaValue& value) {
  if (value.is_string()) {
    if (python_length(value.str()) != 1) jinja_fault("%c requires int or char");
    return value.text();
  }
  if (!value.is_integer()) jinja_fault("%c requires int or char");
  return format_char(value.as_int());
}

JinjaString percent_value(const JinjaValue& value, FormatSpec spec, char type) {
  JinjaString text;
  switch (type) {
    case 's':
    case 'r':
    case 'a':
      text = type == 's' ? jinja_str(value) : jinja_repr(value);
      if (spec.precision)
        text = text.slice(0, python_offset(text.text(), static_cast<size_t>(*spec.precision)));
      break;
    case 'c':
      text = percent_char(value);
      break;
    case 'd':
    case 'i':
    case 'u':
      spec.type = 'd';
      return format_number(percent_number(value, type), spec);
    case 'x':
    case 'X':
    case 'o':
      jinja_require_defined(value);
      if (!value.is_integer())
        jinja_fault("%{} format: an integer is required, not {}", type, jinja_type_name(value));
      spec.type = type;
      return format_number(JinjaValue::integer(value.as_int()), spec);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      spec.type = type;
      return format_number(JinjaValue::real(jinja_to_float(value)), spec);
    default:
      jinja_fault("unsupported format character '{}'", type);
  }
  return pad_text(text, spec.width, JinjaString(" "),
                  spec.align == '<' ? JinjaSide::kRight : JinjaSide::kLeft);
}

int star_value(PercentValues& values) {
  const JinjaValue value = values.next();
  if (!value.is_integer()) jinja_fault("* wants int");
  if (value.as_int() > kMaxFormatWidth || value.as_int() < -kMaxFormatWidth)
    jinja_fault("a width beyond {} is not supported", kMaxFormatWidth);
  return static_cast<int>(value.as_int());
}

JinjaString one_percent(Reader& reader, PercentValues& values) {
  std::optional<JinjaValue> named;
  if (reader.skip('(')) {
    std::string name;
    for (int open = 1;;) {
      if (reader.done()) jinja_fault("incomplete format key");
      const char c = reader.format.text()[reader.pos++];
      open += c == '(' ? 1 : c == ')' ? -1 : 0;
      if (open == 0) break;
      name.push_back(c);
    }
    named = values.named(name);
  }
  FormatSpec spec;
  spec.align = '>';
  bool left = false;
  for (bool flag = true; flag;) {
    const char c = reader.peek();
    flag = c == '-' || c == '+' || c == ' ' || c == '#' || c == '0';
    if (c == '-') left = true;
    if (c == '+' || (c == ' ' && spec.sign != '+')) spec.sign = c;
    if (c == '#') spec.alternate = true;
    if (c == '0') spec.zero = true;
    if (flag) ++reader.pos;
  }
  if (reader.skip('*')) {
    spec.width = star_value(values);
    left = left || spec.width < 0;
    spec.width = std::abs(spec.width);
  } else {
    spec.width = reader.number().value_or(0);
  }
  if (reader.skip('.'))
    spec.precision = reader.skip('*') ? std::max(0, star_value(values)) : reader.number().value_or(0);
  while (reader.peek() == 'h' || reader.peek() == 'l' || reader.peek() == 'L') ++reader.pos;
  if (reader.done()) jinja_fault("incomplete format");
  const char type = reader.format.text()[reader.pos++];
  if (type == '%') return JinjaString("%");
  if (left) {
    spec.align = '<';
    spec.zero = false;
  } else if (spec.zero) {
    spec.align = '=';
    spec.fill = JinjaString("0");
  }
  return percent_value(named ? *named : values.next(), spec, type);
}

// The fields of "…".format(…).
class Formatter {
 public:
  explicit Formatter(const JinjaArgs& args) : args_(args) {}

  JinjaString format(const JinjaString& text, int depth) {
    if (depth > 2) jinja_fault("Max string recursion exceeded");
    jinja_spend(kReadWork * text.size());
    Reader reader{text};
    JinjaString out;
    while (!reader.done()) {
      const size_t at = text.text().find_first_of("{}", reader.pos);
      const size_t stop = at == std::string::npos ? text.size() : at;
      out.append(text, reader.pos, stop);
      reader.pos = stop;
      if (reader.done()) break;
      const char c = text.text()[reader.pos++];
      if (reader.skip(c)) {
        out.append(text, reader.pos - 1, reader.pos);
      } else if (c == '}') {
        jinja_fault("Single '}}' encountered in format string");
      } else {
        out.append(field(reader, depth));
      }
      jinja_require_room(out.size());
    }
    return out;
  }

 private:
  JinjaString field(Reader& reader, int depth) {
    const std::string& text = reader.format.text();
    const size_t begin = reader.pos;
    int open = 1;
    size_t end = begin;
    for (; end < text.size(); ++end) {
      open += text[end] == '{' ? 1 : text[end] == '}' ? -1 : 0;
      if (open == 0) break;
    }
    if (open != 0) jinja_fault("expected '}}' before end of string");
    reader.pos = end + 1;
    size_t name_end = begin;
    int brackets = 0;
    while (name_end < end && (brackets > 0 || (text[name_end] != ':' && text[name_end] != '!'))) {
      brackets += text[name_end] == '[' ? 1 : text[name_end] == ']' ? -1 : 0;
      ++name_end;
    }
    JinjaValue value = look_up(text.substr(begin, name_end - begin));
    size_t pos = name_end;
    if (pos < end && text[pos] == '!') {
      const char conversion = pos + 1 < end ? text[pos + 1] : '\0';
      if (conversion != 's' && conversion != 'r')
        jinja_fault("Unknown conversion specifier '{}'", conversion);
      value = JinjaValue::string(conversion == 's' ? jinja_str(value) : jinja_repr(value));
      pos += 2;
      if (pos < end && text[pos] != ':') jinja_fault("expected ':' after conversion specifier");
    }
    if (pos < end) ++pos;
    const JinjaString spec = format(reader.format.slice(std::min(pos, end), end), depth + 1);
    return format_value(value, spec);
  }

  JinjaValue look_up(const std::string& name) {
    size_t end = name.find_first_of(".[");
    if (end == std::string::npos) end = name.size();
    JinjaValue value = first(name.substr(0, end));
    while (end < name.size()) {
      if (name[end] == '.') {
        const size_t stop = std::min(name.find_first_of(".[", end + 1), name.size());
        if (stop == end + 1) jinja_fault("Empty attribute in format string");
        value = jinja_get_attribute(value, std::string_view(name).substr(end + 1, stop - end - 1));
        end = stop;
      } else if (name[end] == '[') {
        const size_t stop = name.find(']', end);
        if (stop == std::string::npos) jinja_fault("Missing ']' in format string");
        value = jinja_get_item(value, key(name.substr(end + 1, stop - end - 1)));
        end = stop + 1;
      } else {
        jinja_fault("Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return value;
  }

  static JinjaValue key(const std::string& text) {
    if (text.empty()) jinja_fault("Empty attribute in format string");
    if (text.size() > 9 || text.find_first_not_of("0123456789") != std::string::npos)
      return JinjaValue::string(std::string(text));
    return JinjaValue::integer(std::stoi(text));
  }

  JinjaValue first(const std::string& name) {
    size_t index = 0;
    if (name.empty()) {
      if (numbered_)
        jinja_fault("cannot switch from manual field specification to automatic field numbering");
      counted_ = true;
      index = next_++;
    } else if (name.find_first_not_of("0123456789") == std::string::npos) {
      if (counted_) jinja_fault("cannot switch from automatic field numbering to manual field specification");
      numbered_ = true;
      index = name.size() > 9 ? SIZE_MAX : static_cast<size_t>(std::stoi(name));
    } else {
      jinja_spend(kNameWork * args_.keyword.size());
      for (const auto& [other, value] : args_.keyword)
        if (jinja_same_text(other, name)) return value;
      jinja_fault("{}", python_repr(JinjaString(name)).text());
    }
    if (index >= args_.positional.size())
      jinja_fault("Replacement index {} out of range for positional args tuple", index);
    return args_.positional[index];
  }

  const JinjaArgs& args_;
  size_t next_ = 0;
  bool counted_ = false;   // fields without a number were seen
  bool numbered_ = false;  // fields with a number were seen
};

}  // namespace

JinjaString jinja_percent(const JinjaString& format, const JinjaValue& values) {
  jinja_spend(kReadWork * format.size());
  PercentValues remaining(values);
  Reader reader{format};
  JinjaString out;
  while (!reader.done()) {
    const size_t at = format.text().find('%', reader.pos);
    const size_t stop = at == std::string::npos ? format.size() : at;
    out.append(format, reader.pos, stop);
    reader.pos = stop;
    if (reader.done()) break;
    ++reader.pos;
    out.append(one_percent(reader, remaining));
    jinja_require_room(out.size());
  }
  remaining.require_all_used();
  return out;
}

JinjaString jinja_format(const JinjaString& format, const JinjaArgs& args) {
  return Formatter(args).format(format, 0);
}

}  // namespace pare
