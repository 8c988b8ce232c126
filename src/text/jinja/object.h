// Objects of a template beside plain data: namespaces, loops, macros, methods, functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace pare {

struct JinjaArgs {
  std::vector<JinjaValue> positional;
  std::vector<std::pair<std::string, JinjaValue>> keyword;
};

class JinjaObject {
 public:
  JinjaObject() = default;
  virtual ~JinjaObject() = default;
  JinjaObject(const JinjaObject&) = delete;
  JinjaObject& operator=(const JinjaObject&) = delete;

  // Returns the name of the type in error messages.
  virtual std::string type_name() const = 0;
  // `depth` is how deep the object stands in what is printed.
  virtual JinjaString repr(int /*depth*/) const { return JinjaString(fmt::format("<{}>", type_name())); }
  // Returns an attribute; nothing where there is none of this name.
  virtual std::optional<JinjaValue> attribute(std::string_view) { return std::nullopt; }
  // Depth of the values that the object holds, as JinjaValue::nesting counts it.
  virtual int nesting() const { return 0; }
  virtual bool callable() const { return false; }
  virtual JinjaValue call(JinjaArgs args);
};

// The arguments of a call by the names of a Python signature. Throws JinjaFault for one too many, one that is
// unknown or given twice. Missing ones stay undefined with has() false.
class JinjaBound {
 public:
  JinjaBound(std::string_view function, const JinjaArgs& args, std::initializer_list<std::string_view> names,
             size_t required = 0);

  bool has(size_t i) const { return values_[i] != nullptr; }
  const JinjaValue& operator[](size_t i) const { return *values_[i]; }
  // An argument as a Python integer; `otherwise` where it is absent.
  JinjaInt integer(size_t i, JinjaInt otherwise) const;
  bool truth(size_t i, bool otherwise) const;
  // Returns whether an argument is given; None counts as absent.
  bool given(size_t i) const { return has(i) && !values_[i]->is_none(); }

 private:
  std::vector<const JinjaValue*> values_;
};

}  // namespace pare
