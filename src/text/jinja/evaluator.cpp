#include "text/jinja/evaluator.h"

#include <algorithm>

#include "text/jinja/evaluator_guards.h"
#include "text/jinja/fault.h"
#include "text/jinja/methods.h"
#include "text/jinja/text_search.h"

namespace pare {

namespace {

constexpr size_t kNameWork = 2;  // for each name that a search passes by

}  // namespace

void JinjaScope::drop() {
  names.clear();
  parent.reset();
}

void JinjaScope::set(int name, JinjaValue value) {
  jinja_spend(kNameWork * names.size());
  for (auto& [other, held] : names)
    if (other == name) {
      held = std::move(value);
      return;
    }
  names.emplace_back(name, std::move(value));
}

JinjaEvaluator::JinjaEvaluator(const JinjaProgram& program, const JinjaValue& variables,
                               const JinjaOptions& options, int& line)
    : program_(program),
      variables_(variables),
      options_(options),
      roots_(program.names.size()),
      scope_(std::make_shared<JinjaScope>(nullptr)),
      line_(line) {}

JinjaString JinjaEvaluator::run() {
  run_body(program_.body);
  return std::move(output_);
}

JinjaValue JinjaEvaluator::root_value(int name) {
  const std::string& text = program_.names[static_cast<size_t>(name)];
  if (const JinjaValue* found = variables_.find(text)) return *found;
  JinjaValue global = jinja_global(text, options_.now);
  if (!global.is_undefined()) return global;
  return JinjaValue::undefined({.message = fmt::format("'{}' is undefined", text)});
}

JinjaValue JinjaEvaluator::look_up(int name) {
  for (const JinjaScope* scope = scope_.get(); scope; scope = scope->parent.get()) {
    jinja_spend(kNameWork * (scope->names.size() + 1));
    for (const auto& [other, value] : scope->names)
      if (other == name) return value;
  }
  auto& root = roots_[static_cast<size_t>(name)];
  if (!root) root = root_value(name);
  return *root;
}

JinjaValue JinjaEvaluator::eval(const JinjaExpr& expr) {
  using Kind = JinjaExpr::Kind;
  const Deeper deeper(*this);
  line_ = expr.line;
  switch (expr.kind) {
    case Kind::kConst:
      return expr.value;
    case Kind::kName:
      return look_up(expr.name);
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
      return eval_container(expr);
    case Kind::kAttribute:
      return jinja_get_attribute(eval(*expr.children[0]), expr.text);
    case Kind::kItem: {
      const JinjaValue from = eval(*expr.children[0]);
      return jinja_get_item(from, eval(*expr.children[1]));
    }
    case Kind::kSlice:
      return eval_slice(expr);
    case Kind::kCall:
      return eval_call(expr);
    case Kind::kFilter:
      return eval_filter(expr, nullptr);
    case Kind::kTest:
      return eval_test(expr);
    case Kind::kNegate:
      return jinja_negate(eval(*expr.children[0]));
    case Kind::kPlus:
      return jinja_plus(eval(*expr.children[0]));
    case Kind::kNot:
      return JinjaValue::boolean(!jinja_truth(eval(*expr.children[0])));
    case Kind::kBinary: {
      const JinjaValue left = eval(*expr.children[0]);
      const JinjaValue right = eval(*expr.children[1]);
      line_ = expr.line;
      return jinja_binary(expr.op, left, right);
    }
    case Kind::kConcat:
      return eval_concat(expr);
    case Kind::kAnd:
    case Kind::kOr: {
      JinjaValue left = eval(*expr.children[0]);
      if (jinja_truth(left) == (expr.kind == Kind::kOr)) return left;
      return eval(*expr.children[1]);
    }
    case Kind::kCompare:
      return eval_compare(expr);
    case Kind::kCondition:
      return eval_condition(expr);
  }
  return {};
}

JinjaValue JinjaEvaluator::eval_container(const JinjaExpr& expr) {
  if (expr.kind == JinjaExpr::Kind::kDict) {
    JinjaValue dict = JinjaValue::dict();
    for (size_t i = 0; i < expr.children.size(); i += 2) {
      const JinjaValue key = eval(*expr.children[i]);
      dict.set(key, eval(*expr.children[i + 1]));
    }
    return dict;
  }
  std::vector<JinjaValue> items;
  items.reserve(expr.children.size());
  for (const auto& child : expr.children) items.push_back(eval(*child));
  return expr.kind == JinjaExpr::Kind::kList ? JinjaValue::list(std::move(items))
                                             : JinjaValue::tuple(std::move(items));
}

JinjaValue JinjaEvaluator::eval_slice(const JinjaExpr& expr) {
  const auto bound = [&](size_t i) {
    return expr.children[i] ? eval(*expr.children[i]) : JinjaValue::none();
  };
  const JinjaValue from = eval(*expr.children[0]);
  const JinjaValue start = bound(1);
  const JinjaValue stop = bound(2);
  return jinja_slice(from, start, stop, bound(3));
}

JinjaArgs JinjaEvaluator::eval_args(const JinjaCallArgs& args, const JinjaValue* caller) {
  JinjaArgs values;
  values.positional.reserve(args.positional.size());
  for (const auto& arg : args.positional) values.positional.push_back(eval(*arg));
  if (args.star)
    for (JinjaValue& item : jinja_items(eval(*args.star))) values.positional.push_back(std::move(item));
  const auto add = [&](const std::string& name, JinjaValue value) {
    jinja_require_memory(sizeof(values.keyword[0]) + name.size());
    values.keyword.emplace_back(name, std::move(value));
  };
  // The names that the source has differ, and so do the keys of a dict.
  const auto add_new = [&](const std::string& name, JinjaValue value, size_t others) {
    jinja_spend(kNameWork * others);
    for (size_t i = 0; i < others; ++i)
      if (jinja_same_text(values.keyword[i].first, name))
        jinja_fault("got multiple values for keyword argument '{}'", name);
    add(name, std::move(value));
  };
  for (const auto& [name, arg] : args.keyword) add(name, eval(*arg));
  if (caller) add_new("caller", *caller, values.keyword.size());
  const size_t named = values.keyword.size();
  if (args.double_star) {
    const JinjaValue more = eval(*args.double_star);
    jinja_require_defined(more);
    if (!more.is_dict()) jinja_fault("argument after ** must be a mapping, not {}", jinja_type_name(more));
    for (const auto& [key, value] : more.entries().entries) {
      if (!key.is_string()) jinja_fault("keywords must be strings");
      add_new(key.str(), value, named);
    }
  }
  return values;
}

JinjaValue JinjaEvaluator::eval_call(const JinjaExpr& expr, const JinjaValue* caller) {
  const JinjaExpr& callee = *expr.children[0];
  if (callee.kind == JinjaExpr::Kind::kAttribute) {
    // A method that is called at once needs no object of its own.
    const JinjaValue self = eval(*callee.children[0]);
    if (const JinjaMethod method = find_jinja_method(self, callee.text)) {
      const JinjaArgs args = eval_args(expr.args, caller);
      line_ = expr.line;
      return method(self, args);
    }
    const JinjaValue function = jinja_get_attribute(self, callee.text);
    return call_value(function, expr, caller);
  }
  return call_value(eval(callee), expr, caller);
}

JinjaValue JinjaEvaluator::call_value(const JinjaValue& function, const JinjaExpr& expr,
                                      const JinjaValue* caller) {
  JinjaArgs args = eval_args(expr.args, caller);
  line_ = expr.line;
  jinja_require_defined(function);
  if (!function.is_object()) jinja_fault("'{}' object is not callable", jinja_type_name(function));
  // The call may set the variable that holds the function anew: the copy keeps the function.
  const auto object = function.object();  // NOLINT(performance-unnecessary-copy-initialization)
  return object->call(std::move(args));
}

JinjaValue JinjaEvaluator::eval_filter(const JinjaExpr& expr, const JinjaValue* input) {
  const JinjaValue value = expr.children.empty() ? *input
                           : input && expr.children[0]->kind == JinjaExpr::Kind::kFilter
                               ? eval_filter(*expr.children[0], input)
                               : eval(*expr.children[0]);
  const JinjaArgs args = eval_args(expr.args);
  line_ = expr.line;
  if (!expr.filter) throw JinjaFault{ErrorCode::kUnsupported, missing_filter_message(expr.text)};
  return expr.filter(value, args);
}

JinjaValue JinjaEvaluator::eval_test(const JinjaExpr& expr) {
  const JinjaValue value = eval(*expr.children[0]);
  const JinjaArgs args = eval_args(expr.args);
  line_ = expr.line;
  if (!expr.test) jinja_unsupported("No test named '{}'.", expr.text);
  return JinjaValue::boolean(expr.test(value, args));
}

JinjaValue JinjaEvaluator::eval_concat(const JinjaExpr& expr) {
  JinjaString text;
  for (const auto& child : expr.children) {
    const JinjaValue value = eval(*child);
    if (!value.is_string()) {
      text.append(jinja_str(value));
      continue;
    }
    jinja_require_memory(text.size() + value.str().size());
    text.append(value.text());
  }
  return JinjaValue::string(std::move(text));
}

JinjaValue JinjaEvaluator::eval_compare(const JinjaExpr& expr) {
  JinjaValue left = eval(*expr.children[0]);
  for (size_t i = 0; i < expr.compares.size(); ++i) {
    JinjaValue right = eval(*expr.children[i + 1]);
    line_ = expr.line;
    bool holds = false;
    switch (expr.compares[i]) {
      case JinjaCompare::kEq:
        holds = jinja_equal(left, right);
        break;
      case JinjaCompare::kNe:
        holds = !jinja_equal(left, right);
        break;
      case JinjaCompare::kLt:
        holds = jinja_less(left, right, "<");
        break;
      case JinjaCompare::kGt:
        holds = jinja_greater(left, right);
        break;
      case JinjaCompare::kLe:
        holds = jinja_less_equal(left, right);
        break;
      case JinjaCompare::kGe:
        holds = jinja_greater_equal(left, right);
        break;
      case JinjaCompare::kIn:
        holds = jinja_contains(right, left);
        break;
      case JinjaCompare::kNotIn:
        holds = !jinja_contains(right, left);
        break;
    }
    if (!holds) return JinjaValue::boolean(false);
    left = std::move(right);
  }
  return JinjaValue::boolean(true);
}

JinjaValue JinjaEvaluator::eval_condition(const JinjaExpr& expr) {
  if (jinja_truth(eval(*expr.children[0]))) return eval(*expr.children[1]);
  if (expr.children[2]) return eval(*expr.children[2]);
  return JinjaValue::undefined(
      {.message =
           fmt::format("the inline if-expression on line {} evaluated to false and no else section was "
                       "defined.",
                       expr.line)});
}

}  // namespace pare
