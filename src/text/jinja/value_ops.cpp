#include "text/jinja/value_ops.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>

#include "base/keyed_hash.h"
#include "text/jinja/fault.h"
#include "text/jinja/object.h"
#include "text/jinja/python_text.h"
#include "text/jinja/text_search.h"

namespace pare {
namespace {

constexpr int kMaxReprDepth = 200;

bool all_equal(const std::vector<JinjaValue>& a, const std::vector<JinjaValue>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), jinja_equal);
}

bool equal_lists(const JinjaList& a, const JinjaList& b) {
  if (&a == &b) return true;
  if (a.is_tuple() && b.is_tuple()) return all_equal(a.items, b.items);
  if (a.form != b.form || a.form == JinjaList::Form::kIterator || a.form == JinjaList::Form::kValues)
    return false;
  return all_equal(a.items, b.items);
}

bool equal_dicts(const JinjaDict& a, const JinjaDict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  return std::all_of(a.entries.begin(), a.entries.end(), [&](const auto& entry) {
    const JinjaValue* other = b.find(entry.first);
    return other && jinja_equal(entry.second, *other);
  });
}

bool equal_numbers(const JinjaValue& a, const JinjaValue& b) {
  if (a.is_integer() && b.is_integer()) return a.as_int() == b.as_int();
  return a.as_float() == b.as_float();
}

bool is_sequence_of_items(const JinjaValue& value) {
  return value.is_list() &&
         (value.items().form == JinjaList::Form::kList || value.items().form == JinjaList::Form::kTuple);
}

bool is_comparable(const JinjaValue& a, const JinjaValue& b) {
  if ((a.is_number() && b.is_number()) || (a.is_string() && b.is_string())) return true;
  return is_sequence_of_items(a) && is_sequence_of_items(b) && a.items().is_tuple() == b.items().is_tuple();
}

[[noreturn]] void no_order(const JinjaValue& a, const JinjaValue& b, std::string_view op) {
  jinja_require_defined(a);
  jinja_require_defined(b);
  jinja_fault("'{}' not supported between instances of '{}' and '{}'", op, jinja_type_name(a),
              jinja_type_name(b));
}

void append_joined(JinjaString& out, const std::vector<JinjaValue>& items, int depth) {
  bool first = true;
  for (const JinjaValue& item : items) {
    if (!first) out.append(", ");
    first = false;
    out.append(jinja_repr(item, depth + 1));
  }
}

JinjaString list_repr(const JinjaList& list, int depth) {
  using Form = JinjaList::Form;
  JinjaString out;
  switch (list.form) {
    case Form::kTuple:
    case Form::kGroup:
      out.append("(");
      append_joined(out, list.items, depth);
      out.append(list.items.size() == 1 ? ",)" : ")");
      return out;
    case Form::kRange: {
      // Only the items of a range are kept: they say where it ends.
      const auto at = [&](size_t i) { return list.items[i].as_int(); };
      const size_t count = list.items.size();
      const JinjaInt step = count > 1 ? at(1) - at(0) : 1;
      const JinjaInt start = count > 0 ? at(0) : 0;
      const JinjaInt stop = count > 0 ? at(count - 1) + (step > 0 ? 1 : -1) : 0;
      out.append(fmt::format("range({}, {}", start, stop));
      if (step != 1) out.append(fmt::format(", {}", step));
      out.append(")");
      return out;
    }
    case Form::kIterator:
      return JinjaString("<generator object>");
    case Form::kKeys:
      out.append("dict_keys([");
      break;
    case Form::kValues:
      out.append("dict_values([");
      break;
    case Form::kItems:
      out.append("dict_items([");
      break;
    case Form::kList:
      out.append("[");
      break;
  }
  append_joined(out, list.items, depth);
  out.append(list.form == Form::kList ? "]" : "])");
  return out;
}

JinjaString dict_repr(const JinjaDict& dict, int depth) {
  JinjaString out("{");
  for (const auto& [key, value] : dict.entries) {
    if (out.size() > 1) out.append(", ");
    out.append(jinja_repr(key, depth + 1));
    out.append(": ");
    out.append(jinja_repr(value, depth + 1));
  }
  out.append("}");
  return out;
}

std::vector<JinjaValue> chars_of(const JinjaString& text) {
  std::vector<JinjaValue> chars;
  jinja_require_memory(text.size(), sizeof(JinjaValue) + sizeof(JinjaText));
  for (size_t pos = 0; pos < text.size();) {
    const PythonChar c = python_char_at(text.text(), pos);
    chars.push_back(JinjaValue::string(text.slice(c.begin, c.end)));
    pos = c.end;
  }
  return chars;
}

}  // namespace

bool jinja_truth(const JinjaValue& value) {
  using Kind = JinjaValue::Kind;
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.as_int() != 0;
    case Kind::kFloat:
      return value.as_float() != 0;
    case Kind::kString:
      return !value.str().empty();
    case Kind::kList:
      return value.items().form == JinjaList::Form::kIterator || !value.items().items.empty();
    case Kind::kDict:
      return !value.entries().entries.empty();
    case Kind::kObject:
      return true;
  }
  return false;
}

std::string jinja_type_name(const JinjaValue& value) {
  using Kind = JinjaValue::Kind;
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kDict:
      return "dict";
    case Kind::kObject:
      return value.object()->type_name();
    case Kind::kList:
      break;
  }
  switch (value.items().form) {
    case JinjaList::Form::kList:
      return "list";
    case JinjaList::Form::kTuple:
    case JinjaList::Form::kGroup:
      return "tuple";
    case JinjaList::Form::kRange:
      return "range";
    case JinjaList::Form::kKeys:
      return "dict_keys";
    case JinjaList::Form::kValues:
      return "dict_values";
    case JinjaList::Form::kItems:
      return "dict_items";
    case JinjaList::Form::kIterator:
      return "generator";
  }
  return "list";
}

bool jinja_equal(const JinjaValue& a, const JinjaValue& b) {
  jinja_step();
  if (a.is_number() && b.is_number()) return equal_numbers(a, b);
  if (a.kind() != b.kind()) return false;
  if (a.is_string()) return jinja_same_text(a.str(), b.str());
  if (a.is_list()) return equal_lists(a.items(), b.items());
  if (a.is_dict()) return equal_dicts(a.entries(), b.entries());
  if (a.is_object()) return a.object() == b.object();
  return true;
}

bool jinja_less(const JinjaValue& a, const JinjaValue& b, std::string_view op) {
  jinja_step();
  if (a.is_number() && b.is_number()) {
    if (a.is_integer() && b.is_integer()) return a.as_int() < b.as_int();
    return a.as_float() < b.as_float();
  }
  if (a.is_string() && b.is_string()) {
    jinja_spend(std::min(a.str().size(), b.str().size()));
    return a.str() < b.str();
  }
  if (!is_comparable(a, b)) no_order(a, b, op);
  const auto& left = a.items().items;
  const auto& right = b.items().items;
  for (size_t i = 0; i < std::min(left.size(), right.size()); ++i)
    if (!jinja_equal(left[i], right[i])) return jinja_less(left[i], right[i], op);
  return left.size() < right.size();
}

namespace {

// NaN is in no order with anything.
bool is_nan(const JinjaValue& value) { return value.is_float() && std::isnan(value.as_float()); }

}  // namespace

bool jinja_greater(const JinjaValue& a, const JinjaValue& b) {
  if (!is_comparable(a, b)) no_order(a, b, ">");
  return jinja_less(b, a, ">");
}

bool jinja_less_equal(const JinjaValue& a, const JinjaValue& b) {
  if (is_nan(a) || is_nan(b)) return false;
  if (!is_comparable(a, b)) no_order(a, b, "<=");
  return !jinja_less(b, a, "<=");
}

bool jinja_greater_equal(const JinjaValue& a, const JinjaValue& b) {
  if (is_nan(a) || is_nan(b)) return false;
  if (!is_comparable(a, b)) no_order(a, b, ">=");
  return !jinja_less(a, b, ">=");
}

bool jinja_contains(const JinjaValue& container, const JinjaValue& item) {
  if (container.is_string()) {
    if (!item.is_string())
      jinja_fault("'in <string>' requires string as left operand, not {}", jinja_type_name(item));
    return jinja_find(container.str(), item.str()) != std::string::npos;
  }
  if (container.is_dict()) {
    if (!jinja_hashable(item)) jinja_fault("unhashable type: '{}'", jinja_type_name(item));
    return container.entries().find(item) != nullptr;
  }
  if (container.is_undefined()) return false;
  if (!container.is_list()) jinja_fault("argument of type '{}' is not iterable", jinja_type_name(container));
  const JinjaList& list = container.items();
  const auto begin = list.items.begin() + static_cast<std::ptrdiff_t>(list.taken);
  const auto found = std::find_if(begin, list.items.end(),
                                  [&](const JinjaValue& other) { return jinja_equal(other, item); });
  if (list.form == JinjaList::Form::kIterator) container.consume(static_cast<size_t>(found - begin) + 1);
  return found != list.items.end();
}

bool jinja_hashable(const JinjaValue& value) {
  if (value.is_dict()) return false;
  if (!value.is_list()) return true;
  const JinjaList& list = value.items();
  jinja_step();  // a shared value is visited as often as it is named
  if (list.is_tuple()) return std::all_of(list.items.begin(), list.items.end(), jinja_hashable);
  return list.form == JinjaList::Form::kIterator || list.form == JinjaList::Form::kValues;
}

size_t jinja_hash(std::string_view text) {
  jinja_spend(JinjaMeter::kStep + 2 * text.size());
  return keyed_hash(text);
}

size_t jinja_hash(const JinjaValue& value) {
  if (value.is_string()) return jinja_hash(value.str());
  jinja_step();
  if (value.is_number()) {
    double number = value.as_float();  // equal numbers are the same double
    if (number == 0) number = 0;       // both zeros are equal, too
    return keyed_hash({reinterpret_cast<const char*>(&number), sizeof(number)});
  }
  if (value.is_object()) return std::hash<const void*>()(value.object().get());
  if (!value.is_list()) return static_cast<size_t>(value.kind());
  if (!jinja_hashable(value)) jinja_fault("unhashable type: '{}'", jinja_type_name(value));
  if (!value.items().is_tuple()) return std::hash<const void*>()(&value.items());
  std::vector<size_t> hashes;
  for (const JinjaValue& item : value.items().items) hashes.push_back(jinja_hash(item));
  return keyed_hash({reinterpret_cast<const char*>(hashes.data()), hashes.size() * sizeof(hashes[0])});
}

std::string jinja_int_text(JinjaInt value) { return fmt::format("{}", value); }

std::string jinja_float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  std::string out;
  if (text.front() == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const size_t mark = text.find('e');
  const int exponent = std::stoi(std::string(text.substr(mark + 1)));
  std::string digits(text.substr(0, 1));
  if (mark > 2) digits += text.substr(2, mark - 2);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits.substr(0, 1);
    if (count > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1)
    return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  const auto point = static_cast<size_t>(exponent) + 1;
  return out + digits.substr(0, point) + "." + digits.substr(point);
}

JinjaString jinja_repr(const JinjaValue& value, int depth) {
  using Kind = JinjaValue::Kind;
  if (depth > kMaxReprDepth) jinja_fault("a value nests too deeply to be printed");
  jinja_step();
  switch (value.kind()) {
    case Kind::kUndefined:
      return JinjaString("Undefined");
    case Kind::kNone:
      return JinjaString("None");
    case Kind::kBool:
      return JinjaString(value.as_bool() ? "True" : "False");
    case Kind::kInt:
      return JinjaString(jinja_int_text(value.as_int()));
    case Kind::kFloat:
      return JinjaString(jinja_float_repr(value.as_float()));
    case Kind::kString:
      jinja_require_memory(value.str().size(), 4);
      return python_repr(value.text());
    case Kind::kList:
      return list_repr(value.items(), depth);
    case Kind::kDict:
      return dict_repr(value.entries(), depth);
    case Kind::kObject:
      return value.object()->repr(depth);
  }
  return {};
}

JinjaString jinja_str(const JinjaValue& value) {
  if (value.is_string()) return value.text();
  return value.is_undefined() ? JinjaString() : jinja_repr(value);
}

std::vector<JinjaValue> jinja_items(const JinjaValue& value) {
  if (value.is_undefined()) return {};
  if (value.is_string()) return chars_of(value.text());
  std::vector<JinjaValue> items;
  if (value.is_dict()) {
    const auto& entries = value.entries().entries;
    jinja_require_memory(entries.size(), sizeof(JinjaValue));
    items.reserve(entries.size());
    for (const auto& entry : entries) items.push_back(entry.first);
    return items;
  }
  if (!value.is_list()) jinja_fault("'{}' object is not iterable", jinja_type_name(value));
  const JinjaList& list = value.items();
  jinja_require_memory(list.items.size(), sizeof(JinjaValue));
  items.assign(list.items.begin() + static_cast<std::ptrdiff_t>(list.taken), list.items.end());
  if (list.form == JinjaList::Form::kIterator) value.consume(items.size());
  return items;
}

size_t jinja_length(const JinjaValue& value) {
  if (value.is_undefined()) return 0;
  if (value.is_string()) return python_length(value.str());
  if (value.is_dict()) return value.entries().entries.size();
  if (!value.is_list() || value.items().form == JinjaList::Form::kIterator)
    jinja_fault("object of type '{}' has no len()", jinja_type_name(value));
  return value.items().items.size();
}

JinjaValue jinja_iterator(std::vector<JinjaValue> items) {
  return JinjaValue::sequence({.form = JinjaList::Form::kIterator, .items = std::move(items), .charge = {}});
}

void jinja_require_defined(const JinjaValue& value) {
  if (!value.is_undefined()) return;
  const JinjaUndefined* const why = value.why_undefined();
  jinja_fault("{}", why ? why->message : "a value is undefined");
}

JinjaInt jinja_index(const JinjaValue& value) {
  jinja_require_defined(value);
  if (!value.is_integer())
    jinja_fault("'{}' object cannot be interpreted as an integer", jinja_type_name(value));
  return value.as_int();
}

}  // namespace pare
