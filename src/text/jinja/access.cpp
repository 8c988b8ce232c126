// Items, attributes and slices of values.
#include <algorithm>
#include <array>

#include "text/jinja/fault.h"
#include "text/jinja/methods.h"
#include "text/jinja/object.h"
#include "text/jinja/python_text.h"
#include "text/jinja/value_ops.h"

namespace pare {
namespace {

// A method that is not called at once: an object that can be called later.
class BoundMethod : public JinjaObject {
 public:
  BoundMethod(JinjaValue self, JinjaMethod method) : self_(std::move(self)), method_(method) {}
  std::string type_name() const override { return "builtin_function_or_method"; }
  int nesting() const override { return self_.nesting() + 1; }
  bool callable() const override { return true; }
  JinjaValue call(JinjaArgs args) override { return method_(self_, args); }

 private:
  JinjaValue self_;
  JinjaMethod method_;
};

std::string described(const JinjaValue& value) {
  return value.is_none() ? std::string("None") : jinja_type_name(value) + " object";
}

JinjaValue no_attribute(const JinjaValue& value, std::string_view name) {
  return JinjaValue::undefined({.message = fmt::format("'{}' has no attribute {}", described(value),
                                                       python_repr(JinjaString(std::string(name))).text())});
}

JinjaValue unsafe_attribute(const JinjaValue& value, std::string_view name) {
  return JinjaValue::undefined(
      {.message = fmt::format("access to attribute {} of '{}' object is unsafe.",
                              python_repr(JinjaString(std::string(name))).text(), jinja_type_name(value)),
       .unsafe = true});
}

bool has_indexed_items(const JinjaList& list) {
  return list.form == JinjaList::Form::kList || list.is_tuple() || list.form == JinjaList::Form::kRange;
}

JinjaValue char_value(const JinjaString& text, JinjaInt index) {
  if (index < 0) index += static_cast<JinjaInt>(python_length(text.text()));
  if (index < 0 || index >= static_cast<JinjaInt>(text.size())) return {};
  const size_t pos = python_offset(text.text(), static_cast<size_t>(index));
  if (pos >= text.size()) return {};
  return JinjaValue::string(text.slice(pos, python_char_at(text.text(), pos).end));
}

// Returns value[argument] as Python does, nothing where Python would raise.
std::optional<JinjaValue> own_item(const JinjaValue& value, const JinjaValue& argument) {
  if (value.is_dict()) {
    if (!jinja_hashable(argument)) return std::nullopt;
    if (const JinjaValue* found = value.entries().find(argument)) return *found;
    return std::nullopt;
  }
  if (!argument.is_integer()) return std::nullopt;
  if (value.is_string()) {
    JinjaValue found = char_value(value.text(), argument.as_int());
    if (found.is_undefined()) return std::nullopt;
    return found;
  }
  if (!value.is_list() || !has_indexed_items(value.items())) return std::nullopt;
  const auto& items = value.items().items;
  const auto size = static_cast<JinjaInt>(items.size());
  JinjaInt index = argument.as_int();
  if (index < 0) index += size;
  if (index < 0 || index >= size) return std::nullopt;
  return items[static_cast<size_t>(index)];
}

// Returns which indices a slice of so many items takes: CPython's PySlice_AdjustIndices.
struct SliceRange {
  int64_t start, stop, step;
};
int64_t clamp_index(const JinjaValue& value) {
  return static_cast<int64_t>(std::clamp<JinjaInt>(jinja_index(value), INT64_MIN / 4, INT64_MAX / 4));
}
SliceRange slice_range(const JinjaValue& start, const JinjaValue& stop, const JinjaValue& step,
                       int64_t size) {
  SliceRange range{0, 0, step.is_none() ? 1 : clamp_index(step)};
  if (range.step == 0) jinja_fault("slice step cannot be zero");
  const bool back = range.step < 0;
  const auto bound = [&](const JinjaValue& value, int64_t otherwise) {
    if (value.is_none()) return otherwise;
    int64_t index = clamp_index(value);
    if (index < 0) index += size;
    if (index < 0) return back ? int64_t{-1} : int64_t{0};
    return index >= size ? (back ? size - 1 : size) : index;
  };
  range.start = bound(start, back ? size - 1 : 0);
  range.stop = bound(stop, back ? -1 : size);
  return range;
}

template <typename Take>
void for_slice(const SliceRange& range, Take&& take) {
  for (int64_t i = range.start; range.step > 0 ? i < range.stop : i > range.stop; i += range.step)
    take(static_cast<size_t>(i));
}

JinjaValue slice_text(const JinjaString& text, const SliceRange& range) {
  if (range.step == 1) {
    if (range.stop <= range.start) return JinjaValue::string(std::string());
    const size_t begin = python_offset(text.text(), static_cast<size_t>(range.start));
    const size_t length = python_offset(std::string_view(text.text()).substr(begin),
                                        static_cast<size_t>(range.stop - range.start));
    return JinjaValue::string(text.slice(begin, begin + length));
  }
  jinja_require_memory(text.size(), sizeof(size_t) + 1);
  std::vector<size_t> offsets;
  for (size_t pos = 0; pos < text.size(); pos = python_char_at(text.text(), pos).end) offsets.push_back(pos);
  offsets.push_back(text.size());
  JinjaString out;
  for_slice(range, [&](size_t i) { out.append(text, offsets[i], offsets[i + 1]); });
  return JinjaValue::string(std::move(out));
}

}  // namespace

std::optional<JinjaValue> jinja_own_attribute(const JinjaValue& value, std::string_view name) {
  if (is_unsafe_jinja_attribute(value, name)) return unsafe_attribute(value, name);
  if (value.is_object()) return value.object()->attribute(name);
  if (value.is_list() && value.items().form == JinjaList::Form::kGroup) {
    if (name == "grouper") return value.items().items[0];
    if (name == "list") return value.items().items[1];
  }
  if (const JinjaMethod method = find_jinja_method(value, name))
    return JinjaValue::object(std::make_shared<BoundMethod>(value, method));
  return std::nullopt;
}

JinjaValue jinja_get_attribute(const JinjaValue& value, std::string_view name) {
  jinja_require_defined(value);
  jinja_step();
  if (auto found = jinja_own_attribute(value, name)) return *std::move(found);
  if (value.is_dict())
    if (const JinjaValue* found = value.entries().find(name)) return *found;
  return no_attribute(value, name);
}

JinjaValue jinja_get_item(const JinjaValue& value, const JinjaValue& argument) {
  jinja_require_defined(value);
  jinja_step();
  if (auto found = own_item(value, argument)) return *std::move(found);
  if (argument.is_string()) {
    if (auto found = jinja_own_attribute(value, argument.str())) return *std::move(found);
    return no_attribute(value, argument.str());
  }
  return JinjaValue::undefined(
      {.message = fmt::format("{} has no element {}", described(value), jinja_repr(argument).text())});
}

JinjaValue jinja_slice(const JinjaValue& value, const JinjaValue& start, const JinjaValue& stop,
                       const JinjaValue& step) {
  jinja_require_defined(value);
  if (value.is_string()) {
    const JinjaString& text = value.text();
    return slice_text(text, slice_range(start, stop, step, static_cast<int64_t>(python_length(text.text()))));
  }
  if (value.is_dict()) jinja_fault("unhashable type: 'slice'");
  if (!value.is_list() || !has_indexed_items(value.items()))
    jinja_fault("'{}' object is not subscriptable", jinja_type_name(value));
  const JinjaList& list = value.items();
  const SliceRange range = slice_range(start, stop, step, static_cast<int64_t>(list.items.size()));
  std::vector<JinjaValue> items;
  for_slice(range, [&](size_t i) {
    jinja_spend(sizeof(JinjaValue));
    items.push_back(list.items[i]);
  });
  const auto form = list.is_tuple() ? JinjaList::Form::kTuple : list.form;
  return JinjaValue::sequence({.form = form, .items = std::move(items), .charge = {}});
}

}  // namespace pare
