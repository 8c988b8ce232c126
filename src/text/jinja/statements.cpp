// Statements of the evaluator.
#include "text/jinja/evaluator.h"
#include "text/jinja/evaluator_guards.h"
#include "text/jinja/fault.h"
#include "text/jinja/loop.h"
#include "text/jinja/macro.h"
#include "text/jinja/namespace.h"

namespace pare {

void JinjaEvaluator::write(const JinjaString& text) {
  if (static_cast<int64_t>(out_->size() + text.size()) > options_.limits.output_bytes)
    jinja_fault("the template writes more than {} bytes, the limit", options_.limits.output_bytes);
  out_->append(text);
}

JinjaEvaluator::Flow JinjaEvaluator::run_body(const JinjaBody& body) {
  for (const JinjaStatement& statement : body)
    if (const Flow flow = run_statement(statement); flow != Flow::kNext) return flow;
  return Flow::kNext;
}

JinjaEvaluator::Flow JinjaEvaluator::run_statement(const JinjaStatement& statement) {
  using Kind = JinjaStatement::Kind;
  const Deeper deeper(*this);
  line_ = statement.line;
  switch (statement.kind) {
    case Kind::kOutput:
      run_output(statement);
      break;
    case Kind::kFor:
      run_loop(statement, scope_, eval(*statement.exprs[0]), 0);
      break;
    case Kind::kIf:
      return run_if(statement);
    case Kind::kSet:
      run_set(statement);
      break;
    case Kind::kSetBlock:
      return run_set_block(statement);
    case Kind::kWith:
      return run_with(statement);
    case Kind::kMacro:
      scope_->set(statement.target.name, make_macro(*statement.macro));
      break;
    case Kind::kCallBlock:
      run_call_block(statement);
      break;
    case Kind::kFilterBlock:
      return run_filter_block(statement);
    case Kind::kScope: {
      const InScope inner(*this, scope_);
      run_body(statement.bodies[0]);
      break;
    }
    case Kind::kBreak:
      return Flow::kBreak;
    case Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

void JinjaEvaluator::run_output(const JinjaStatement& statement) {
  for (const auto& expr : statement.exprs) {
    if (expr->kind == JinjaExpr::Kind::kConst && expr->value.is_string()) {
      jinja_step();
      write(expr->value.text());
      continue;
    }
    const JinjaValue value = eval(*expr);
    if (value.is_string()) {
      write(value.text());
    } else {
      write(jinja_str(value));
    }
  }
}

JinjaEvaluator::Flow JinjaEvaluator::run_if(const JinjaStatement& statement) {
  size_t taken = 0;
  while (taken < statement.exprs.size() && !jinja_truth(eval(*statement.exprs[taken]))) ++taken;
  return run_body(statement.bodies[taken]);
}

namespace {

struct FinishLoop {
  JinjaLoop& loop;
  ~FinishLoop() { loop.finish(); }
};

}  // namespace

bool JinjaEvaluator::loop_takes(const JinjaStatement& loop, const std::shared_ptr<JinjaScope>& outer,
                                const JinjaValue& item) {
  const InScope inner(*this, outer);
  assign(loop.target, item);
  return jinja_truth(eval(*loop.exprs[1]));
}

void JinjaEvaluator::run_loop(const JinjaStatement& loop, std::shared_ptr<JinjaScope> outer,
                              const JinjaValue& iterable, int depth) {
  const auto context = std::make_shared<JinjaLoop>(*this, loop, outer, jinja_items(iterable), depth);
  const JinjaValue loop_value = JinjaValue::object(context);
  bool any = false;
  {
    const FinishLoop finish{*context};
    InScope inner(*this, outer);
    while (auto item = context->advance()) {
      inner.renew(outer);
      jinja_step();
      scope_->set(program_.loop, loop_value);
      assign(loop.target, *item);
      const Flow flow = run_body(loop.bodies[0]);
      if (flow == Flow::kBreak) break;
      // As in jinja2, `else` runs where no iteration came to its end.
      any = any || flow == Flow::kNext;
    }
  }
  if (any || loop.bodies[1].empty()) return;
  const InScope inner(*this, outer);
  run_body(loop.bodies[1]);
}

JinjaValue JinjaEvaluator::call_loop(const JinjaStatement& loop, const std::shared_ptr<JinjaScope>& outer,
                                     const JinjaValue& iterable, int depth) {
  const Deeper deeper(*this);
  Captured captured(*this);
  run_loop(loop, outer, iterable, depth);
  return JinjaValue::string(std::move(captured.text));
}

void JinjaEvaluator::run_set(const JinjaStatement& statement) {
  const JinjaValue value = eval(*statement.exprs[0]);
  line_ = statement.line;
  assign(statement.target, value);
}

JinjaEvaluator::Flow JinjaEvaluator::run_set_block(const JinjaStatement& statement) {
  JinjaValue value;
  {
    Captured captured(*this);
    const InScope inner(*this, scope_);
    if (const Flow flow = run_body(statement.bodies[0]); flow != Flow::kNext) return flow;
    value = JinjaValue::string(std::move(captured.text));
    if (statement.exprs[0]) value = eval_filter(*statement.exprs[0], &value);
  }
  assign(statement.target, value);
  return Flow::kNext;
}

JinjaEvaluator::Flow JinjaEvaluator::run_with(const JinjaStatement& statement) {
  const std::shared_ptr<JinjaScope> outer = scope_;
  const InScope inner(*this, outer);
  const std::shared_ptr<JinjaScope> own = scope_;
  for (size_t i = 0; i < statement.targets.size(); ++i) {
    scope_ = outer;
    const JinjaValue value = eval(*statement.exprs[i]);
    scope_ = own;
    assign(statement.targets[i], value);
  }
  return run_body(statement.bodies[0]);
}

JinjaEvaluator::Flow JinjaEvaluator::run_filter_block(const JinjaStatement& statement) {
  JinjaValue value;
  {
    Captured captured(*this);
    const InScope inner(*this, scope_);
    if (const Flow flow = run_body(statement.bodies[0]); flow != Flow::kNext) return flow;
    value = JinjaValue::string(std::move(captured.text));
    value = eval_filter(*statement.exprs[0], &value);
  }
  write(jinja_str(value));
  return Flow::kNext;
}

JinjaValue JinjaEvaluator::make_macro(const JinjaMacro& macro) {
  JinjaCycles::add(scope_);
  return JinjaValue::object(std::make_shared<JinjaMacroObject>(*this, macro, scope_));
}

void JinjaEvaluator::run_call_block(const JinjaStatement& statement) {
  const JinjaValue caller = make_macro(*statement.macro);
  write(jinja_str(eval_call(*statement.exprs[0], &caller)));
}

JinjaValue JinjaEvaluator::call_macro(const JinjaMacro& macro, const std::shared_ptr<JinjaScope>& closure,
                                      JinjaArgs args) {
  const Deeper deeper(*this);
  const InScope inner(*this, closure);
  const auto missing = bind_macro_arguments(program_, macro, std::move(args), *scope_);
  const size_t required = macro.parameters.size() - macro.defaults.size();
  for (const size_t i : missing) {
    const auto& [name, id] = macro.parameters[i];
    scope_->set(id, i < required ? JinjaValue::undefined(
                                       {.message = fmt::format("parameter '{}' was not provided", name)})
                                 : eval(*macro.defaults[i - required]));
  }
  Captured captured(*this);
  run_body(macro.body);
  return JinjaValue::string(std::move(captured.text));
}

void JinjaEvaluator::assign(const JinjaTarget& target, const JinjaValue& value) {
  if (target.is_tuple) {
    if (!value.is_undefined() && !value.is_list() && !value.is_string() && !value.is_dict())
      jinja_fault("cannot unpack non-iterable {} object", jinja_type_name(value));
    const std::vector<JinjaValue> items = jinja_items(value);
    const size_t wanted = target.parts.size();
    if (items.size() < wanted)
      jinja_fault("not enough values to unpack (expected {}, got {})", wanted, items.size());
    if (items.size() > wanted) jinja_fault("too many values to unpack (expected {})", wanted);
    for (size_t i = 0; i < wanted; ++i) assign(target.parts[i], items[i]);
    return;
  }
  if (target.attribute.empty()) return scope_->set(target.name, value);
  const JinjaValue holder = look_up(target.name);
  auto* const names = holder.is_object() ? dynamic_cast<JinjaNamespace*>(holder.object().get()) : nullptr;
  if (!names) jinja_fault("cannot assign attribute on non-namespace object");
  names->set(JinjaValue::string(target.attribute), value);
}

}  // namespace pare
