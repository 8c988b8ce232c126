// Runs a parsed template.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/cycles.h"
#include "text/jinja/object.h"
#include "text/jinja/template.h"
#include "text/jinja/value.h"

namespace pare {

// Names that a part of a template has set, by symbol.
struct JinjaScope : JinjaCyclic {
  explicit JinjaScope(std::shared_ptr<JinjaScope> outer) : parent(std::move(outer)) {}
  void drop() override;
  void set(int name, JinjaValue value);

  std::vector<std::pair<int, JinjaValue>> names;
  std::shared_ptr<JinjaScope> parent;
  JinjaCharge charge{sizeof(JinjaScope)};
};

class JinjaEvaluator {
 public:
  // `line` is kept at what is being evaluated.
  JinjaEvaluator(const JinjaProgram& program, const JinjaValue& variables, const JinjaOptions& options,
                 int& line);

  // The whole output. Throws JinjaFault, JinjaRaised.
  JinjaString run();

  // Run the bodies of macros, callers and loops, in the scope where they were defined.
  JinjaValue call_macro(const JinjaMacro& macro, const std::shared_ptr<JinjaScope>& closure, JinjaArgs args);
  JinjaValue call_loop(const JinjaStatement& loop, const std::shared_ptr<JinjaScope>& outer,
                       const JinjaValue& iterable, int depth);
  // Returns whether a loop's `if` takes an item.
  bool loop_takes(const JinjaStatement& loop, const std::shared_ptr<JinjaScope>& outer,
                  const JinjaValue& item);

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };
  class Deeper;
  class InScope;
  class Captured;

  JinjaValue eval(const JinjaExpr& expr);
  JinjaValue eval_container(const JinjaExpr& expr);
  JinjaValue eval_slice(const JinjaExpr& expr);
  JinjaValue eval_call(const JinjaExpr& expr, const JinjaValue* caller = nullptr);
  JinjaValue call_value(const JinjaValue& function, const JinjaExpr& expr, const JinjaValue* caller);
  // `input` is the text of a block whose filters these are, null in an expression.
  JinjaValue eval_filter(const JinjaExpr& expr, const JinjaValue* input);
  JinjaValue eval_test(const JinjaExpr& expr);
  JinjaValue eval_concat(const JinjaExpr& expr);
  JinjaValue eval_compare(const JinjaExpr& expr);
  JinjaValue eval_condition(const JinjaExpr& expr);
  JinjaArgs eval_args(const JinjaCallArgs& args, const JinjaValue* caller = nullptr);
  JinjaValue look_up(int name);
  JinjaValue root_value(int name);

  Flow run_body(const JinjaBody& body);
  Flow run_statement(const JinjaStatement& statement);
  void run_output(const JinjaStatement& statement);
  Flow run_if(const JinjaStatement& statement);
  void run_loop(const JinjaStatement& loop, std::shared_ptr<JinjaScope> outer, const JinjaValue& iterable,
                int depth);
  void run_set(const JinjaStatement& statement);
  Flow run_set_block(const JinjaStatement& statement);
  Flow run_with(const JinjaStatement& statement);
  Flow run_filter_block(const JinjaStatement& statement);
  void run_call_block(const JinjaStatement& statement);
  JinjaValue make_macro(const JinjaMacro& macro);
  void assign(const JinjaTarget& target, const JinjaValue& value);
  void write(const JinjaString& text);

  const JinjaProgram& program_;
  const JinjaValue& variables_;
  const JinjaOptions& options_;
  std::vector<std::optional<JinjaValue>> roots_;  // variables and functions by symbol, once looked up
  std::shared_ptr<JinjaScope> scope_;
  JinjaString output_;
  JinjaString* out_ = &output_;
  int64_t depth_ = 0;
  int& line_;
};

}  // namespace pare
