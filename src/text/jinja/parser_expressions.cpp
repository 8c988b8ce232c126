#include <algorithm>
#include <array>

#include "text/jinja/parser.h"
#include "text/jinja/parser_nested.h"

namespace pare {

JinjaExprPtr JinjaParser::make(Expr::Kind kind, int line) const {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = line;
  return expr;
}

// Sets the height, which bounds how deep a walk over the tree recurses.
JinjaExprPtr JinjaParser::finish(JinjaExprPtr expr) const {
  int below = 0;
  const auto look = [&](const JinjaExprPtr& child) {
    if (child) below = std::max(below, child->height);
  };
  for (const auto& child : expr->children) look(child);
  for (const auto& child : expr->args.positional) look(child);
  for (const auto& child : expr->args.keyword) look(child.second);
  look(expr->args.star);
  look(expr->args.double_star);
  expr->height = below + 1;
  if (expr->height > kMaxJinjaExprHeight)
    refuse_at(expr->line,
              fmt::format("an expression has more than {} levels, the limit", kMaxJinjaExprHeight));
  return expr;
}

JinjaExprPtr JinjaParser::wrap(Expr::Kind kind, int line, JinjaExprPtr child, JinjaExprPtr second) const {
  JinjaExprPtr expr = make(kind, line);
  expr->children.push_back(std::move(child));
  if (second) expr->children.push_back(std::move(second));
  return finish(std::move(expr));
}

JinjaExprPtr JinjaParser::expression(bool with_condition) {
  const Nested nested(*this);
  return with_condition ? condition() : disjunction();
}

JinjaExprPtr JinjaParser::condition() {
  const size_t known = unknown_.size();
  JinjaExprPtr expr = disjunction();
  while (is_name("if")) {
    const int line = next().line;
    JinjaExprPtr whole = make(Expr::Kind::kCondition, line);
    whole->children.push_back(disjunction());
    whole->children.push_back(std::move(expr));
    whole->children.push_back(skip_name("else") ? expression() : nullptr);
    unknown_.resize(std::min(known, unknown_.size()));
    expr = finish(std::move(whole));
  }
  return expr;
}

JinjaExprPtr JinjaParser::disjunction() {
  JinjaExprPtr left = conjunction();
  while (is_name("or")) {
    const int line = next().line;
    left = wrap(Expr::Kind::kOr, line, std::move(left), conjunction());
  }
  return left;
}

JinjaExprPtr JinjaParser::conjunction() {
  JinjaExprPtr left = negation();
  while (is_name("and")) {
    const int line = next().line;
    left = wrap(Expr::Kind::kAnd, line, std::move(left), negation());
  }
  return left;
}

JinjaExprPtr JinjaParser::negation() {
  if (!is_name("not")) return comparison();
  const Nested nested(*this);
  const int line = next().line;
  return wrap(Expr::Kind::kNot, line, negation());
}

JinjaExprPtr JinjaParser::comparison() {
  static constexpr std::array<std::pair<std::string_view, JinjaCompare>, 6> kOperators = {
      {{"==", JinjaCompare::kEq},
       {"!=", JinjaCompare::kNe},
       {"<", JinjaCompare::kLt},
       {"<=", JinjaCompare::kLe},
       {">", JinjaCompare::kGt},
       {">=", JinjaCompare::kGe}}};
  JinjaExprPtr first = sum();
  JinjaExprPtr expr;
  const auto add = [&](JinjaCompare op, JinjaExprPtr operand) {
    if (!expr) {
      expr = make(Expr::Kind::kCompare, first->line);
      expr->children.push_back(std::move(first));
    }
    expr->compares.push_back(op);
    expr->children.push_back(std::move(operand));
  };
  while (true) {
    const auto* const found = std::find_if(kOperators.begin(), kOperators.end(),
                                           [&](const auto& entry) { return is_operator(entry.first); });
    if (found != kOperators.end()) {
      next();
      add(found->second, sum());
    } else if (skip_name("in")) {
      add(JinjaCompare::kIn, sum());
    } else if (is_name("not") && next_is_name("in")) {
      next();
      next();
      add(JinjaCompare::kNotIn, sum());
    } else {
      return expr ? finish(std::move(expr)) : std::move(first);
    }
  }
}

JinjaExprPtr JinjaParser::sum() {
  JinjaExprPtr left = concatenation();
  while (is_operator("+") || is_operator("-")) {
    const JinjaToken& token = next();
    left = wrap(Expr::Kind::kBinary, token.line, std::move(left), concatenation());
    left->op = token.text == "+" ? JinjaOperator::kAdd : JinjaOperator::kSub;
  }
  return left;
}

JinjaExprPtr JinjaParser::concatenation() {
  JinjaExprPtr first = product();
  if (!is_operator("~")) return first;
  JinjaExprPtr expr = make(Expr::Kind::kConcat, current().line);
  expr->children.push_back(std::move(first));
  while (skip_operator("~")) expr->children.push_back(product());
  return finish(std::move(expr));
}

JinjaExprPtr JinjaParser::product() {
  static constexpr std::array<std::pair<std::string_view, JinjaOperator>, 4> kOperators = {
      {{"*", JinjaOperator::kMul},
       {"/", JinjaOperator::kDiv},
       {"//", JinjaOperator::kFloorDiv},
       {"%", JinjaOperator::kMod}}};
  JinjaExprPtr left = power();
  while (true) {
    const auto* const found = std::find_if(kOperators.begin(), kOperators.end(),
                                           [&](const auto& entry) { return is_operator(entry.first); });
    if (found == kOperators.end()) return left;
    const int line = next().line;
    left = wrap(Expr::Kind::kBinary, line, std::move(left), power());
    left->op = found->second;
  }
}

JinjaExprPtr JinjaParser::power() {
  JinjaExprPtr left = unary();
  while (is_operator("**")) {
    const int line = next().line;
    left = wrap(Expr::Kind::kBinary, line, std::move(left), unary());
    left->op = JinjaOperator::kPow;
  }
  return left;
}

JinjaExprPtr JinjaParser::unary(bool with_filter) {
  const Nested nested(*this);
  JinjaExprPtr expr;
  if (is_operator("-") || is_operator("+")) {
    const JinjaToken& token = next();
    expr = wrap(token.text == "-" ? Expr::Kind::kNegate : Expr::Kind::kPlus, token.line, unary(false));
  } else {
    expr = primary();
  }
  expr = postfix(std::move(expr));
  return with_filter ? filters_and_tests(std::move(expr)) : std::move(expr);
}

JinjaExprPtr JinjaParser::name_or_constant() {
  const JinjaToken& token = next();
  JinjaExprPtr expr = make(Expr::Kind::kConst, token.line);
  if (token.text == "true" || token.text == "True") {
    expr->value = JinjaValue::boolean(true);
  } else if (token.text == "false" || token.text == "False") {
    expr->value = JinjaValue::boolean(false);
  } else if (token.text == "none" || token.text == "None") {
    expr->value = JinjaValue::none();
  } else {
    expr->kind = Expr::Kind::kName;
    expr->name = symbol(token.text);
    for (JinjaMacro* macro : macros_) {
      macro->uses_caller = macro->uses_caller || expr->name == program_.caller;
      macro->uses_kwargs = macro->uses_kwargs || expr->name == program_.kwargs;
      macro->uses_varargs = macro->uses_varargs || expr->name == program_.varargs;
    }
  }
  return expr;
}

JinjaExprPtr JinjaParser::primary() {
  const JinjaToken& token = current();
  if (token.kind == Kind::kName) return name_or_constant();
  if (token.kind == Kind::kInteger || token.kind == Kind::kFloat) {
    JinjaExprPtr expr = make(Expr::Kind::kConst, token.line);
    expr->value = next().number;
    return expr;
  }
  if (token.kind == Kind::kString) {
    JinjaExprPtr expr = make(Expr::Kind::kConst, token.line);
    std::string text;
    while (current().kind == Kind::kString) text += next().text;
    expr->value = JinjaValue::string(std::move(text));
    return expr;
  }
  if (skip_operator("(")) {
    JinjaExprPtr expr = tuple(true, {}, true);
    expect_operator(")");
    return expr;
  }
  if (is_operator("[")) return list_literal();
  if (is_operator("{")) return dict_literal();
  fail_at(token.line, fmt::format("unexpected '{}'", describe_jinja_token(token)));
}

JinjaExprPtr JinjaParser::tuple(bool with_condition, std::string_view end_name, bool in_parentheses) {
  const int line = current().line;
  const auto at_end = [&] {
    const Kind kind = current().kind;
    return kind == Kind::kVariableEnd || kind == Kind::kBlockEnd || is_operator(")") ||
           (!end_name.empty() && is_name(end_name));
  };
  std::vector<JinjaExprPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) expect_operator(",");
    if (at_end()) break;
    items.push_back(expression(with_condition));
    if (!is_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return std::move(items.front());
  if (!is_tuple && !in_parentheses)
    fail_at(current().line, fmt::format("Expected an expression, got '{}'", describe_jinja_token(current())));
  JinjaExprPtr expr = make(Expr::Kind::kTuple, line);
  expr->children = std::move(items);
  return finish(std::move(expr));
}

JinjaExprPtr JinjaParser::list_literal() {
  JinjaExprPtr expr = make(Expr::Kind::kList, next().line);
  while (!is_operator("]")) {
    if (!expr->children.empty()) expect_operator(",");
    if (is_operator("]")) break;
    expr->children.push_back(expression());
  }
  expect_operator("]");
  return finish(std::move(expr));
}

JinjaExprPtr JinjaParser::dict_literal() {
  JinjaExprPtr expr = make(Expr::Kind::kDict, next().line);
  while (!is_operator("}")) {
    if (!expr->children.empty()) expect_operator(",");
    if (is_operator("}")) break;
    expr->children.push_back(expression());
    expect_operator(":");
    expr->children.push_back(expression());
  }
  expect_operator("}");
  return finish(std::move(expr));
}

JinjaExprPtr JinjaParser::postfix(JinjaExprPtr expr) {
  while (true) {
    if (is_operator(".") || is_operator("[")) {
      expr = subscript(std::move(expr));
    } else if (is_operator("(")) {
      expr = call(std::move(expr));
    } else {
      return expr;
    }
  }
}

JinjaExprPtr JinjaParser::filters_and_tests(JinjaExprPtr expr) {
  while (true) {
    if (is_operator("|")) {
      expr = filter_chain(std::move(expr), false);
    } else if (is_name("is")) {
      expr = test(std::move(expr));
    } else if (is_operator("(")) {
      expr = call(std::move(expr));
    } else {
      return expr;
    }
  }
}

JinjaExprPtr JinjaParser::subscript(JinjaExprPtr expr) {
  const int line = current().line;
  if (skip_operator(".")) {
    const JinjaToken& name = next();
    if (name.kind == Kind::kName) {
      JinjaExprPtr attribute = wrap(Expr::Kind::kAttribute, line, std::move(expr));
      attribute->text = name.text;
      return attribute;
    }
    if (name.kind != Kind::kInteger) fail_at(name.line, "expected name or number");
    JinjaExprPtr index = make(Expr::Kind::kConst, name.line);
    index->value = name.number;
    return wrap(Expr::Kind::kItem, line, std::move(expr), std::move(index));
  }
  expect_operator("[");
  JinjaExprPtr several = make(Expr::Kind::kTuple, line);
  std::vector<JinjaExprPtr> bounds;
  bool is_slice = false;
  while (!is_operator("]")) {
    if (!several->children.empty() || is_slice) expect_operator(",");
    if (is_slice) refuse_at(line, "a slice among several subscripts is not supported");
    JinjaExprPtr one = slice_or_expression(is_slice, bounds);
    if (one) several->children.push_back(std::move(one));
    if (is_slice && !several->children.empty())
      refuse_at(line, "a slice among several subscripts is not supported");
  }
  expect_operator("]");
  if (is_slice) {
    JinjaExprPtr slice = make(Expr::Kind::kSlice, line);
    slice->children.push_back(std::move(expr));
    for (JinjaExprPtr& bound : bounds) slice->children.push_back(std::move(bound));
    return finish(std::move(slice));
  }
  JinjaExprPtr index =
      several->children.size() == 1 ? std::move(several->children.front()) : finish(std::move(several));
  return wrap(Expr::Kind::kItem, line, std::move(expr), std::move(index));
}

// An expression, or null and the three bounds of a slice.
JinjaExprPtr JinjaParser::slice_or_expression(bool& is_slice, std::vector<JinjaExprPtr>& bounds) {
  const auto at_end = [&] { return is_operator("]") || is_operator(",") || is_operator(":"); };
  JinjaExprPtr first;
  if (!is_operator(":")) first = expression();
  if (!skip_operator(":")) return first;
  is_slice = true;
  bounds.push_back(std::move(first));
  bounds.push_back(at_end() ? nullptr : expression());
  bounds.push_back(skip_operator(":") && !at_end() ? expression() : nullptr);
  return nullptr;
}

JinjaExprPtr JinjaParser::call(JinjaExprPtr callee) {
  JinjaExprPtr expr = make(Expr::Kind::kCall, current().line);
  expr->children.push_back(std::move(callee));
  expr->args = call_args();
  return finish(std::move(expr));
}

JinjaCallArgs JinjaParser::call_args() {
  const int line = current().line;
  expect_operator("(");
  JinjaCallArgs args;
  const auto ensure = [&](bool good) {
    if (!good) fail_at(line, "invalid syntax for function call expression");
  };
  for (bool first = true; !is_operator(")"); first = false) {
    if (!first) {
      expect_operator(",");
      if (is_operator(")")) break;
    }
    if (skip_operator("*")) {
      ensure(!args.star && !args.double_star);
      args.star = expression();
    } else if (skip_operator("**")) {
      ensure(!args.double_star);
      args.double_star = expression();
    } else if (current().kind == Kind::kName && tokens_[at_ + 1].kind == Kind::kOperator &&
               tokens_[at_ + 1].text == "=") {
      ensure(!args.double_star);
      const std::string name = next().text;
      next();
      const bool twice = std::any_of(args.keyword.begin(), args.keyword.end(),
                                     [&](const auto& other) { return other.first == name; });
      if (twice) fail_at(line, fmt::format("keyword argument repeated: {}", name));
      args.keyword.emplace_back(name, expression());
    } else {
      ensure(!args.star && !args.double_star && args.keyword.empty());
      args.positional.push_back(expression());
    }
  }
  expect_operator(")");
  return args;
}

std::string JinjaParser::dotted_name() {
  std::string name = expect(Kind::kName, "name").text;
  while (skip_operator(".")) name += "." + expect(Kind::kName, "name").text;
  return name;
}

JinjaExprPtr JinjaParser::filter_chain(JinjaExprPtr input, bool starts_inline) {
  while (starts_inline || skip_operator("|")) {
    starts_inline = false;
    JinjaExprPtr expr = make(Expr::Kind::kFilter, current().line);
    if (input) expr->children.push_back(std::move(input));
    expr->text = dotted_name();
    expr->filter = find_jinja_filter(expr->text);
    if (!expr->filter) unknown_.emplace_back(expr->line, missing_filter_message(expr->text));
    if (is_operator("(")) expr->args = call_args();
    input = finish(std::move(expr));
  }
  return input;
}

JinjaExprPtr JinjaParser::test(JinjaExprPtr input) {
  const int line = next().line;
  const bool negated = skip_name("not");
  JinjaExprPtr expr = make(Expr::Kind::kTest, line);
  expr->children.push_back(std::move(input));
  expr->text = dotted_name();
  expr->test = find_jinja_test(expr->text);
  if (!expr->test) unknown_.emplace_back(line, fmt::format("No test named '{}'.", expr->text));
  const Kind kind = current().kind;
  if (is_operator("(")) {
    expr->args = call_args();
  } else if ((kind == Kind::kName || kind == Kind::kString || kind == Kind::kInteger ||
              kind == Kind::kFloat || is_operator("[") || is_operator("{")) &&
             !is_name("else") && !is_name("or") && !is_name("and")) {
    if (is_name("is")) fail_at(current().line, "You cannot chain multiple tests with is");
    const Nested nested(*this);
    expr->args.positional.push_back(postfix(primary()));
  }
  expr = finish(std::move(expr));
  return negated ? wrap(Expr::Kind::kNot, line, std::move(expr)) : std::move(expr);
}

}  // namespace pare
