// The methods of lists and dicts, without those that would change them.
#include <algorithm>
#include <array>

#include "text/jinja/fault.h"
#include "text/jinja/methods.h"
#include "text/jinja/value_ops.h"

namespace pare {
namespace {

using Value = JinjaValue;
using Form = JinjaList::Form;

Value view(const Value& self, Form form) {
  const auto& entries = self.entries().entries;
  jinja_require_memory(entries.size(), sizeof(Value));
  std::vector<Value> items;
  items.reserve(entries.size());
  for (const auto& [key, value] : entries)
    items.push_back(form == Form::kKeys ? key : form == Form::kValues ? value : Value::tuple({key, value}));
  return Value::sequence({.form = form, .items = std::move(items), .charge = {}});
}

Value keys(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("keys", args, {});
  return view(self, Form::kKeys);
}

Value values(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("values", args, {});
  return view(self, Form::kValues);
}

Value items(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("items", args, {});
  return view(self, Form::kItems);
}

Value get(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("get", args, {"key", "default"}, 1);
  if (!jinja_hashable(bound[0])) jinja_fault("unhashable type: '{}'", jinja_type_name(bound[0]));
  if (const Value* found = self.entries().find(bound[0])) return *found;
  return bound.has(1) ? bound[1] : Value::none();
}

// Nothing in a template can change a list or dict: a copy is the same.
Value copy(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("copy", args, {});
  return self;
}

Value count(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("count", args, {"value"}, 1);
  const auto& list = self.items().items;
  return Value::integer(std::count_if(list.begin(), list.end(),
                                      [&](const Value& item) { return jinja_equal(item, bound[0]); }));
}

Value index(const Value& self, const JinjaArgs& args) {
  const JinjaBound bound("index", args, {"value", "start", "stop"}, 1);
  const auto& list = self.items().items;
  const auto size = static_cast<JinjaInt>(list.size());
  const auto at = [&](size_t i, JinjaInt otherwise) {
    const JinjaInt given = bound.integer(i, otherwise);
    return static_cast<size_t>(std::clamp<JinjaInt>(given < 0 ? given + size : given, 0, size));
  };
  for (size_t i = at(1, 0); i < at(2, size); ++i)
    if (jinja_equal(list[i], bound[0])) return Value::integer(static_cast<JinjaInt>(i));
  jinja_fault("{} is not in list", jinja_repr(bound[0]).text());
}

struct Entry {
  std::string_view name;
  JinjaMethod method;
};
constexpr Entry kDictMethods[] = {
    {"get", get}, {"items", items}, {"keys", keys}, {"values", values}, {"copy", copy}};
constexpr Entry kListMethods[] = {{"index", index}, {"count", count}, {"copy", copy}};

// Methods of MutableMapping and MutableSequence that jinja2's sandbox.py refuses.
constexpr std::array<std::string_view, 5> kUnsafeOfDict = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::array<std::string_view, 8> kUnsafeOfList = {"append", "clear",  "pop",    "reverse",
                                                           "insert", "extend", "remove", "sort"};

template <size_t N>
bool holds(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

JinjaMethod find_container_method(const JinjaValue& self, std::string_view name) {
  const auto find = [&](const auto& entries) -> JinjaMethod {
    for (const Entry& entry : entries)
      if (entry.name == name) return entry.method;
    return nullptr;
  };
  if (self.is_dict()) return find(kDictMethods);
  if (!self.is_list()) return nullptr;
  const Form form = self.items().form;
  if (form == Form::kList) return find(kListMethods);
  return (self.items().is_tuple() || form == Form::kRange) && name != "copy" ? find(kListMethods) : nullptr;
}

JinjaMethod find_jinja_method(const JinjaValue& self, std::string_view name) {
  jinja_step();
  return self.is_string() ? find_string_method(name) : find_container_method(self, name);
}

bool is_unsafe_jinja_attribute(const JinjaValue& self, std::string_view name) {
  if (name.size() > 4 && name.starts_with("__") && name.ends_with("__")) return true;
  if (self.is_dict()) return holds(kUnsafeOfDict, name);
  return self.is_list() && self.items().form == Form::kList && holds(kUnsafeOfList, name);
}

}  // namespace pare
