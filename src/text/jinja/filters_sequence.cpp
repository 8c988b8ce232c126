// Filters of sequences.
#include <algorithm>
#include <functional>

#include "text/jinja/builtins.h"
#include "text/jinja/fault.h"
#include "text/jinja/python_text.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/value_ops.h"

namespace pare {
namespace {

using Value = JinjaValue;
using Values = std::vector<JinjaValue>;

// "a.b.0" as the items to look up one after the other, as jinja2's make_attrgetter.
Values attribute_path(const Value& attribute) {
  if (attribute.is_none()) return {};
  if (!attribute.is_string()) return {attribute};
  Values path;
  const JinjaString dot(".");
  for (Value& part : split_text(attribute.text(), &dot, -1)) {
    if (!python_all(part.str(), kPyDigit)) {
      path.push_back(std::move(part));
      continue;
    }
    JinjaInt index = 0;
    for (const char c : part.str())
      if (__builtin_mul_overflow(index, JinjaInt{10}, &index) ||
          __builtin_add_overflow(index, JinjaInt{c - '0'}, &index) || c < '0' || c > '9')
        jinja_unsupported("the attribute {} is not supported", part.str());
    path.push_back(Value::integer(index));
  }
  return path;
}

Value follow(Value item, const Values& path, const Value* otherwise = nullptr) {
  for (const Value& part : path) {
    item = jinja_get_item(item, part);
    if (otherwise && item.is_undefined()) item = *otherwise;
  }
  return item;
}

Value ignore_case(Value value) {
  return value.is_string() ? Value::string(python_lower(value.text())) : value;
}

// Key to compare items by: several attributes where their names stand between commas.
class Key {
 public:
  Key(const Value& attributes, bool case_sensitive, bool several) : case_sensitive_(case_sensitive) {
    if (several && attributes.is_string()) {
      const JinjaString comma(",");
      for (const Value& name : split_text(attributes.text(), &comma, -1))
        paths_.push_back(attribute_path(name));
    } else {
      paths_.push_back(attribute_path(attributes));
    }
  }
  Value operator()(const Value& item) const {
    const auto of = [&](const Values& path) {
      Value key = follow(item, path);
      return case_sensitive_ ? key : ignore_case(std::move(key));
    };
    if (paths_.size() == 1) return of(paths_[0]);
    Values keys;
    for (const Values& path : paths_) keys.push_back(of(path));
    return Value::list(std::move(keys));
  }

 private:
  std::vector<Values> paths_;
  bool case_sensitive_;
};

Value attribute_arg(const JinjaBound& bound, size_t i) { return bound.has(i) ? bound[i] : Value::none(); }

void stable_sort_by(std::vector<std::pair<Value, Value>>& keyed, bool reverse) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? jinja_less(b.first, a.first) : jinja_less(a.first, b.first);
  });
}

Values second_of(std::vector<std::pair<Value, Value>> keyed) {
  Values values;
  values.reserve(keyed.size());
  for (auto& entry : keyed) values.push_back(std::move(entry.second));
  return values;
}

std::vector<std::pair<Value, Value>> keyed_by(const Values& items, const Key& key) {
  jinja_require_memory(items.size(), 2 * sizeof(Value));
  std::vector<std::pair<Value, Value>> keyed;
  keyed.reserve(items.size());
  for (const Value& item : items) keyed.emplace_back(key(item), item);
  return keyed;
}

Value sort(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("sort", args, {"reverse", "case_sensitive", "attribute"});
  auto keyed = keyed_by(jinja_items(value), Key(attribute_arg(bound, 2), bound.truth(1, false), true));
  stable_sort_by(keyed, bound.truth(0, false));
  return Value::list(second_of(std::move(keyed)));
}

Value dictsort(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("dictsort", args, {"case_sensitive", "by", "reverse"});
  const std::string by = bound.has(1) && bound[1].is_string() ? bound[1].str() : "key";
  if (by != "key" && by != "value") jinja_fault("You can only sort by either \"key\" or \"value\"");
  jinja_require_defined(value);
  if (!value.is_dict()) jinja_fault("'{} object' has no attribute 'items'", jinja_type_name(value));
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, item] : value.entries().entries) {
    jinja_require_room(keyed.size() * sizeof(keyed[0]));
    const Value& used = by == "key" ? key : item;
    keyed.emplace_back(bound.truth(0, false) ? used : ignore_case(used), Value::tuple({key, item}));
  }
  stable_sort_by(keyed, bound.truth(2, false));
  return Value::list(second_of(std::move(keyed)));
}

Value unique(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("unique", args, {"case_sensitive", "attribute"});
  const Key key(attribute_arg(bound, 1), bound.truth(0, false), false);
  JinjaDict seen;
  Values kept;
  for (Value& item : jinja_items(value)) {
    const Value of = key(item);
    if (!jinja_hashable(of)) jinja_fault("unhashable type: '{}'", jinja_type_name(of));
    if (seen.find(of)) continue;
    seen.set(of, Value::none());
    kept.push_back(std::move(item));
  }
  return jinja_iterator(std::move(kept));
}

Value extreme(std::string_view name, const Value& value, const JinjaArgs& args, bool largest) {
  const JinjaBound bound(name, args, {"case_sensitive", "attribute"});
  const Values items = jinja_items(value);
  if (items.empty()) return Value::undefined({.message = "No aggregated item, sequence was empty."});
  const Key key(attribute_arg(bound, 1), bound.truth(0, false), false);
  size_t best = 0;
  Value best_key = key(items[0]);
  for (size_t i = 1; i < items.size(); ++i) {
    Value other = key(items[i]);
    if (largest ? !jinja_greater(other, best_key) : !jinja_less(other, best_key)) continue;
    best = i;
    best_key = std::move(other);
  }
  return items[best];
}

Value sum(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("sum", args, {"attribute", "start"});
  const Values path = attribute_path(attribute_arg(bound, 0));
  Value total = bound.has(1) ? bound[1] : Value::integer(0);
  if (total.is_string()) jinja_fault("sum() can't sum strings [use ''.join(seq) instead]");
  for (const Value& item : jinja_items(value))
    total = jinja_binary(JinjaOperator::kAdd, total, follow(item, path));
  return total;
}

Value first(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("first", args, {});
  if (value.is_list() && value.items().form == JinjaList::Form::kIterator) {
    const JinjaList& list = value.items();
    if (list.taken < list.items.size()) {
      value.consume(1);
      return list.items[list.taken - 1];
    }
  } else if (value.is_string() && !value.str().empty()) {
    return jinja_get_item(value, Value::integer(0));
  } else if (const Values items = jinja_items(value); !items.empty()) {
    return items.front();
  }
  return Value::undefined({.message = "No first item, sequence was empty."});
}

void require_reversible(const Value& value) {
  jinja_require_defined(value);
  if (value.is_list() && value.items().form == JinjaList::Form::kIterator)
    jinja_fault("'generator' object is not reversible");
}

Value last(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("last", args, {});
  if (!value.is_undefined()) require_reversible(value);
  const Values items = jinja_items(value);
  if (items.empty()) return Value::undefined({.message = "No last item, sequence was empty."});
  return items.back();
}

Value reverse(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("reverse", args, {});
  if (value.is_string()) {
    const Value none = Value::none();
    return jinja_slice(value, none, none, Value::integer(-1));
  }
  Values items = jinja_items(value);
  std::reverse(items.begin(), items.end());
  // reversed() of ordered values is an iterator; of anything else jinja2 makes a list.
  if (value.is_list() && value.items().form == JinjaList::Form::kIterator)
    return Value::list(std::move(items));
  return jinja_iterator(std::move(items));
}

Value list(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("list", args, {});
  return Value::list(jinja_items(value));
}

Value items(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("items", args, {});
  if (value.is_undefined()) return jinja_iterator({});
  if (!value.is_dict()) jinja_fault("Can only get item pairs from a mapping.");
  Values pairs;
  jinja_require_memory(value.entries().entries.size(), sizeof(Value));
  for (const auto& [key, item] : value.entries().entries) pairs.push_back(Value::tuple({key, item}));
  return jinja_iterator(std::move(pairs));
}

Value join(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("join", args, {"d", "attribute"});
  Values items = jinja_items(value);
  if (bound.given(1)) {
    const Values path = attribute_path(bound[1]);
    for (Value& item : items) item = follow(item, path);
  }
  return Value::string(join_texts(bound.has(0) ? jinja_str(bound[0]) : JinjaString(), items, false));
}

// Arguments from number `from` on.
JinjaArgs rest_of(const JinjaArgs& args, size_t from) {
  JinjaArgs rest;
  rest.positional.assign(args.positional.begin() + static_cast<std::ptrdiff_t>(from), args.positional.end());
  rest.keyword = args.keyword;
  return rest;
}

std::string name_arg(const Value& name, std::string_view what) {
  if (name.is_string()) return name.str();
  if (name.is_undefined()) jinja_require_defined(name);
  jinja_fault("No {} named {}.", what, jinja_repr(name).text());
}

Value map(const Value& value, const JinjaArgs& args) {
  if (!jinja_truth(value)) return jinja_iterator({});
  Values items = jinja_items(value);
  if (args.positional.empty()) {
    const JinjaBound bound("map", args, {"attribute", "default"});
    if (!bound.has(0)) jinja_fault("map requires a filter argument");
    const Values path = attribute_path(bound[0]);
    for (Value& item : items) item = follow(item, path, bound.given(1) ? &bound[1] : nullptr);
    return jinja_iterator(std::move(items));
  }
  const std::string name = name_arg(args.positional[0], "filter");
  const JinjaFilter filter = find_jinja_filter(name);
  if (!filter) jinja_unsupported("{}", missing_filter_message(name));
  const JinjaArgs rest = rest_of(args, 1);
  for (Value& item : items) {
    jinja_step();
    item = filter(item, rest);
  }
  return jinja_iterator(std::move(items));
}

Value choose(const Value& value, const JinjaArgs& args, bool wanted, bool by_attribute) {
  if (!jinja_truth(value)) return jinja_iterator({});
  Values path;
  const size_t off = by_attribute ? 1 : 0;
  if (by_attribute) {
    if (args.positional.empty()) jinja_fault("Missing parameter for attribute name");
    path = attribute_path(args.positional[0]);
  }
  JinjaTest test = nullptr;
  JinjaArgs rest;
  if (args.positional.size() > off) {
    const std::string name = name_arg(args.positional[off], "test");
    test = find_jinja_test(name);
    if (!test) jinja_unsupported("No test named '{}'.", name);
    rest = rest_of(args, off + 1);
  }
  Values kept;
  for (Value& item : jinja_items(value)) {
    jinja_step();
    const Value of = by_attribute ? follow(item, path) : item;
    if ((test ? test(of, rest) : jinja_truth(of)) == wanted) kept.push_back(std::move(item));
  }
  return jinja_iterator(std::move(kept));
}

size_t count_arg(const JinjaBound& bound, size_t i) {
  const JinjaInt count = jinja_index(bound[i]);
  if (count == 0) jinja_fault("integer division or modulo by zero");
  return static_cast<size_t>(std::clamp<JinjaInt>(count, 0, INT64_MAX));
}

Value batch(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("batch", args, {"linecount", "fill_with"}, 1);
  const auto count = static_cast<size_t>(std::clamp<JinjaInt>(jinja_index(bound[0]), 0, INT64_MAX));
  Values batches;
  Values batch;
  for (Value& item : jinja_items(value)) {
    if (batch.size() == count) {
      batches.push_back(Value::list(std::move(batch)));
      batch = {};
    }
    batch.push_back(std::move(item));
  }
  if (!batch.empty()) {
    if (bound.given(1) && batch.size() < count) {
      jinja_require_memory(count, sizeof(Value));
      batch.resize(count, bound[1]);
    }
    batches.push_back(Value::list(std::move(batch)));
  }
  return jinja_iterator(std::move(batches));
}

Value slice(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("slice", args, {"slices", "fill_with"}, 1);
  const size_t slices = count_arg(bound, 0);
  jinja_require_memory(slices, 2 * sizeof(Value));
  const Values all = jinja_items(value);
  const size_t each = slices > 0 ? all.size() / slices : 0;
  const size_t longer = slices > 0 ? all.size() % slices : 0;
  Values parts;
  size_t begin = 0;
  for (size_t i = 0; i < slices; ++i) {
    const size_t end = begin + each + (i < longer ? 1 : 0);
    Values part(all.begin() + static_cast<std::ptrdiff_t>(begin),
                all.begin() + static_cast<std::ptrdiff_t>(end));
    if (bound.given(1) && i >= longer) part.push_back(bound[1]);
    parts.push_back(Value::list(std::move(part)));
    begin = end;
  }
  return jinja_iterator(std::move(parts));
}

Value groupby(const Value& value, const JinjaArgs& args) {
  const JinjaBound bound("groupby", args, {"attribute", "default", "case_sensitive"}, 1);
  const Values path = attribute_path(bound[0]);
  const bool case_sensitive = bound.truth(2, false);
  const Value* const otherwise = bound.given(1) ? &bound[1] : nullptr;
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : jinja_items(value)) {
    jinja_require_room(keyed.size() * sizeof(keyed[0]));
    Value key = follow(item, path, otherwise);
    keyed.emplace_back(case_sensitive ? key : ignore_case(key), item);
  }
  stable_sort_by(keyed, false);
  Values groups;
  for (size_t begin = 0; begin < keyed.size();) {
    size_t end = begin;
    Values members;
    while (end < keyed.size() && jinja_equal(keyed[end].first, keyed[begin].first))
      members.push_back(keyed[end++].second);
    Value key = follow(members.front(), path, otherwise);
    groups.push_back(Value::sequence({.form = JinjaList::Form::kGroup,
                                      .items = {std::move(key), Value::list(std::move(members))},
                                      .charge = {}}));
    begin = end;
  }
  return Value::list(std::move(groups));
}

struct Entry {
  std::string_view name;
  JinjaFilter filter;
};
constexpr Entry kFilters[] = {
    {"join", join},
    {"first", first},
    {"last", last},
    {"list", list},
    {"map", map},
    {"select", [](const Value& v, const JinjaArgs& a) { return choose(v, a, true, false); }},
    {"reject", [](const Value& v, const JinjaArgs& a) { return choose(v, a, false, false); }},
    {"selectattr", [](const Value& v, const JinjaArgs& a) { return choose(v, a, true, true); }},
    {"rejectattr", [](const Value& v, const JinjaArgs& a) { return choose(v, a, false, true); }},
    {"sort", sort},
    {"dictsort", dictsort},
    {"unique", unique},
    {"min", [](const Value& v, const JinjaArgs& a) { return extreme("min", v, a, false); }},
    {"max", [](const Value& v, const JinjaArgs& a) { return extreme("max", v, a, true); }},
    {"sum", sum},
    {"reverse", reverse},
    {"items", items},
    {"batch", batch},
    {"slice", slice},
    {"groupby", groupby},
};

}  // namespace

JinjaFilter find_sequence_filter(std::string_view name) {
  for (const Entry& entry : kFilters)
    if (entry.name == name) return entry.filter;
  return nullptr;
}

}  // namespace pare
