#include "text/jinja/object.h"

#include <algorithm>

#include "text/jinja/fault.h"
#include "text/jinja/value_ops.h"

namespace pare {

JinjaValue JinjaObject::call(JinjaArgs) { jinja_fault("'{}' object is not callable", type_name()); }

JinjaBound::JinjaBound(std::string_view function, const JinjaArgs& args,
                       std::initializer_list<std::string_view> names, size_t required)
    : values_(names.size(), nullptr) {
  if (args.positional.size() > names.size())
    jinja_fault("{}() takes at most {} arguments ({} given)", function, names.size(),
                args.positional.size() + args.keyword.size());
  for (size_t i = 0; i < args.positional.size(); ++i) values_[i] = &args.positional[i];
  for (const auto& [name, value] : args.keyword) {
    const auto* const slot = std::find(names.begin(), names.end(), name);
    if (slot == names.end()) jinja_fault("{}() got an unexpected keyword argument '{}'", function, name);
    const JinjaValue*& target = values_[static_cast<size_t>(slot - names.begin())];
    if (target) jinja_fault("{}() got multiple values for argument '{}'", function, name);
    target = &value;
  }
  for (size_t i = 0; i < required; ++i)
    if (!values_[i])
      jinja_fault("{}() missing 1 required positional argument: '{}'", function, names.begin()[i]);
}

JinjaInt JinjaBound::integer(size_t i, JinjaInt otherwise) const {
  return has(i) ? jinja_index(*values_[i]) : otherwise;
}

bool JinjaBound::truth(size_t i, bool otherwise) const {
  return has(i) ? jinja_truth(*values_[i]) : otherwise;
}

}  // namespace pare
