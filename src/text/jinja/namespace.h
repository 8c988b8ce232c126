// Namespaces: the objects that {% set ns.name = … %} writes to.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/cycles.h"
#include "text/jinja/object.h"

namespace pare {

class JinjaNamespace : public JinjaObject, public JinjaCyclic {
 public:
  // A namespace of what dict(…) makes of the arguments.
  static JinjaValue make(const JinjaValue& entries);

  std::string type_name() const override { return "Namespace"; }
  JinjaString repr(int depth) const override;
  std::optional<JinjaValue> attribute(std::string_view name) override;
  void drop() override { entries_ = {}; }

  // Throws JinjaFault for names that begin with "_".
  void set(const JinjaValue& name, JinjaValue value);

 private:
  JinjaDict entries_;
};

}  // namespace pare
