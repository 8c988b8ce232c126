#include "text/jinja/namespace.h"

#include "text/jinja/fault.h"
#include "text/jinja/value_ops.h"

namespace pare {

JinjaValue JinjaNamespace::make(const JinjaValue& entries) {
  auto made = std::make_shared<JinjaNamespace>();
  JinjaCycles::add(made);
  for (const auto& [key, value] : entries.entries().entries) made->set(key, value);
  return JinjaValue::object(std::move(made));
}

JinjaString JinjaNamespace::repr(int depth) const {
  JinjaString out("<Namespace {");
  for (const auto& [key, value] : entries_.entries) {
    if (&key != &entries_.entries.front().first) out.append(", ");
    out.append(jinja_repr(key, depth + 1));
    out.append(": ");
    out.append(jinja_repr(value, depth + 1));
    jinja_require_room(out.size());
  }
  out.append("}>");
  return out;
}

std::optional<JinjaValue> JinjaNamespace::attribute(std::string_view name) {
  const JinjaValue* const found = entries_.find(name);
  return found ? std::optional<JinjaValue>(*found) : std::nullopt;
}

void JinjaNamespace::set(const JinjaValue& name, JinjaValue value) {
  if (name.is_string() && name.str().starts_with("_"))
    jinja_fault(
        "Chat templates cannot store underscore-prefixed attributes on a namespace, but got {}. Please "
        "rename the attribute.",
        jinja_repr(name).text());
  entries_.set(name, std::move(value));
}

}  // namespace pare
