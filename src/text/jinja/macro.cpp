#include "text/jinja/macro.h"

#include <algorithm>

#include "text/jinja/fault.h"
#include "text/jinja/python_text.h"

namespace pare {
namespace {

std::string quoted_name(const JinjaMacro& macro) {
  return macro.name.empty() ? "None" : python_repr(JinjaString(macro.name)).text();
}

// Takes the argument of this name out of `args`; null where there is none.
std::optional<JinjaValue> take(JinjaArgs& args, std::string_view name) {
  jinja_spend(sizeof(args.keyword[0]) * args.keyword.size());  // the other arguments move up
  const auto found = std::find_if(args.keyword.begin(), args.keyword.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  if (found == args.keyword.end()) return std::nullopt;
  JinjaValue value = std::move(found->second);
  args.keyword.erase(found);
  return value;
}

}  // namespace

JinjaString JinjaMacroObject::repr(int) const {
  return JinjaString(fmt::format("<Macro {}>", macro_.name.empty() ? "anonymous" : quoted_name(macro_)));
}

std::optional<JinjaValue> JinjaMacroObject::attribute(std::string_view name) {
  if (name == "name")
    return macro_.name.empty() ? JinjaValue::none() : JinjaValue::string(std::string(macro_.name));
  if (name == "catch_kwargs") return JinjaValue::boolean(macro_.uses_kwargs);
  if (name == "catch_varargs") return JinjaValue::boolean(macro_.uses_varargs);
  if (name == "caller") return JinjaValue::boolean(macro_.uses_caller);
  if (name != "arguments") return std::nullopt;
  std::vector<JinjaValue> names;
  for (const auto& parameter : macro_.parameters) names.push_back(JinjaValue::string(parameter.first));
  return JinjaValue::tuple(std::move(names));
}

JinjaValue JinjaMacroObject::call(JinjaArgs args) {
  return evaluator_.call_macro(macro_, closure_, std::move(args));
}

// After Macro.__call__ of jinja2's runtime.py.
std::vector<size_t> bind_macro_arguments(const JinjaProgram& program, const JinjaMacro& macro, JinjaArgs args,
                                         JinjaScope& scope) {
  std::vector<size_t> missing;
  const size_t given = std::min(args.positional.size(), macro.parameters.size());
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const auto& [name, id] = macro.parameters[i];
    if (i < given) {
      scope.set(id, args.positional[i]);
    } else if (auto value = take(args, name)) {
      scope.set(id, *std::move(value));
    } else {
      missing.push_back(i);
    }
  }
  if (macro.uses_caller && !macro.explicit_caller) {
    auto caller = take(args, "caller");
    if (!caller || caller->is_none()) caller = JinjaValue::undefined({.message = "No caller defined"});
    scope.set(program.caller, *std::move(caller));
  }
  if (macro.uses_kwargs) {
    JinjaValue kwargs = JinjaValue::dict();
    for (auto& [name, value] : args.keyword) kwargs.set(name, std::move(value));
    scope.set(program.kwargs, std::move(kwargs));
  } else if (!args.keyword.empty()) {
    if (take(args, "caller"))
      jinja_fault(
          "macro {} was invoked with two values for the special caller argument. This is most likely a "
          "bug.",
          quoted_name(macro));
    jinja_fault("macro {} takes no keyword argument '{}'", quoted_name(macro), args.keyword.front().first);
  }
  if (macro.uses_varargs) {
    scope.set(program.varargs,
              JinjaValue::tuple(
                  {args.positional.begin() + static_cast<std::ptrdiff_t>(given), args.positional.end()}));
  } else if (args.positional.size() > macro.parameters.size()) {
    jinja_fault("macro {} takes not more than {} argument(s)", quoted_name(macro), macro.parameters.size());
  }
  return missing;
}

}  // namespace pare
