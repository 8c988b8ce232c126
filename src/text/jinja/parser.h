// Tokens to a tree, after jinja2's parser.py.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace pare {

class JinjaParser {
 public:
  explicit JinjaParser(std::string_view source);
  // Throws kFormat or kUnsupported with "line N: ".
  JinjaProgram parse();

 private:
  using Expr = JinjaExpr;
  using Kind = JinjaToken::Kind;
  class Nested;

  // Tokens.
  const JinjaToken& current() const { return tokens_[at_]; }
  const JinjaToken& next() { return at_ + 1 < tokens_.size() ? tokens_[at_++] : tokens_[at_]; }
  bool is_operator(std::string_view text) const;
  bool is_name(std::string_view text) const;
  bool next_is_name(std::string_view text) const;
  bool skip_operator(std::string_view text);
  bool skip_name(std::string_view text);
  void expect_operator(std::string_view text);
  const JinjaToken& expect(Kind kind, std::string_view what);
  [[noreturn]] void unexpected(std::string_view expected) const;
  [[noreturn]] void fail_at(int line, std::string_view message) const;
  [[noreturn]] void refuse_at(int line, std::string_view message) const;
  int symbol(const std::string& name);

  // Expressions.
  JinjaExprPtr make(Expr::Kind kind, int line) const;
  JinjaExprPtr finish(JinjaExprPtr expr) const;
  JinjaExprPtr wrap(Expr::Kind kind, int line, JinjaExprPtr child, JinjaExprPtr second = nullptr) const;
  JinjaExprPtr expression(bool with_condition = true);
  JinjaExprPtr condition();
  JinjaExprPtr disjunction();
  JinjaExprPtr conjunction();
  JinjaExprPtr negation();
  JinjaExprPtr comparison();
  JinjaExprPtr sum();
  JinjaExprPtr concatenation();
  JinjaExprPtr product();
  JinjaExprPtr power();
  JinjaExprPtr unary(bool with_filter = true);
  JinjaExprPtr primary();
  JinjaExprPtr name_or_constant();
  JinjaExprPtr postfix(JinjaExprPtr expr);
  JinjaExprPtr filters_and_tests(JinjaExprPtr expr);
  JinjaExprPtr subscript(JinjaExprPtr expr);
  JinjaExprPtr slice_or_expression(bool& is_slice, std::vector<JinjaExprPtr>& bounds);
  JinjaExprPtr list_literal();
  JinjaExprPtr dict_literal();
  JinjaExprPtr tuple(bool with_condition, std::string_view end_name, bool in_parentheses);
  JinjaExprPtr call(JinjaExprPtr callee);
  JinjaCallArgs call_args();
  JinjaExprPtr filter_chain(JinjaExprPtr input, bool starts_inline);
  JinjaExprPtr test(JinjaExprPtr input);
  std::string dotted_name();

  // Statements.
  JinjaBody body_until(const std::vector<std::string_view>& ends, std::string_view opened, int line);
  JinjaBody block_body(const std::vector<std::string_view>& ends, std::string_view opened, int line);
  JinjaBody closed_body(std::string_view end, std::string_view opened, int line);
  JinjaStatement statement();
  JinjaStatement for_statement(int line);
  JinjaStatement if_statement(int line);
  JinjaStatement set_statement(int line);
  JinjaStatement with_statement(int line);
  JinjaStatement macro_statement(int line);
  JinjaStatement call_statement(int line);
  JinjaStatement filter_statement(int line);
  JinjaStatement print_statement(int line);
  JinjaStatement loop_jump(int line, JinjaStatement::Kind kind, std::string_view name);
  void signature(JinjaMacro& macro);
  void macro_body(JinjaMacro& macro, std::string_view end, std::string_view opened, int line);
  JinjaTarget target(bool with_attributes, std::string_view end_name);
  JinjaTarget simple_target(bool with_attributes);
  std::string target_name();

  std::vector<JinjaToken> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int loops_ = 0;  // loops that break and continue may leave
  JinjaProgram program_;
  std::map<std::string, int, std::less<>> symbols_;
  std::vector<JinjaMacro*> macros_;  // macros that are open, innermost last
  // Filters and tests that are not known, by line. Within a condition they are an error only when they are
  // reached.
  std::vector<std::pair<int, std::string>> unknown_;
};

}  // namespace pare
