// Macros and the callers of call blocks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/jinja/evaluator.h"

namespace pare {

class JinjaMacroObject : public JinjaObject {
 public:
  JinjaMacroObject(JinjaEvaluator& evaluator, const JinjaMacro& macro, std::shared_ptr<JinjaScope> closure)
      : evaluator_(evaluator), macro_(macro), closure_(std::move(closure)) {}
  std::string type_name() const override { return "Macro"; }
  JinjaString repr(int depth) const override;
  std::optional<JinjaValue> attribute(std::string_view name) override;
  bool callable() const override { return true; }
  JinjaValue call(JinjaArgs args) override;

 private:
  JinjaEvaluator& evaluator_;
  const JinjaMacro& macro_;
  std::shared_ptr<JinjaScope> closure_;
};

// Sets parameters, caller, kwargs and varargs in a macro's scope; returns which parameters were not given.
// Throws JinjaFault for arguments that the macro does not take.
std::vector<size_t> bind_macro_arguments(const JinjaProgram& program, const JinjaMacro& macro, JinjaArgs args,
                                         JinjaScope& scope);

}  // namespace pare
