#include "text/jinja/parser.h"

#include <algorithm>
#include <array>

#include "text/jinja/fault.h"
#include "text/jinja/parser_nested.h"

namespace pare {

JinjaParser::JinjaParser(std::string_view source) : tokens_(lex_jinja(source)) {
  program_.loop = symbol("loop");
  program_.caller = symbol("caller");
  program_.kwargs = symbol("kwargs");
  program_.varargs = symbol("varargs");
}

JinjaProgram JinjaParser::parse() {
  program_.body = body_until({}, {}, 1);
  if (!unknown_.empty()) {
    const auto first = std::min_element(unknown_.begin(), unknown_.end());
    refuse_at(first->first, first->second);
  }
  return std::move(program_);
}

bool JinjaParser::is_operator(std::string_view text) const {
  return current().kind == Kind::kOperator && current().text == text;
}

bool JinjaParser::is_name(std::string_view text) const {
  return current().kind == Kind::kName && current().text == text;
}

bool JinjaParser::next_is_name(std::string_view text) const {
  const JinjaToken& token = tokens_[std::min(at_ + 1, tokens_.size() - 1)];
  return token.kind == Kind::kName && token.text == text;
}

bool JinjaParser::skip_operator(std::string_view text) {
  if (!is_operator(text)) return false;
  next();
  return true;
}

bool JinjaParser::skip_name(std::string_view text) {
  if (!is_name(text)) return false;
  next();
  return true;
}

void JinjaParser::expect_operator(std::string_view text) {
  if (!skip_operator(text)) unexpected(text);
}

const JinjaToken& JinjaParser::expect(Kind kind, std::string_view what) {
  if (current().kind != kind) unexpected(what);
  return next();
}

void JinjaParser::unexpected(std::string_view expected) const {
  if (current().kind == Kind::kEnd)
    fail_at(current().line, fmt::format("unexpected end of template, expected '{}'.", expected));
  fail_at(current().line,
          fmt::format("expected token '{}', got '{}'", expected, describe_jinja_token(current())));
}

void JinjaParser::fail_at(int line, std::string_view message) const {
  fail(ErrorCode::kFormat, "line {}: {}", line, message);
}

void JinjaParser::refuse_at(int line, std::string_view message) const {
  fail(ErrorCode::kUnsupported, "line {}: {}", line, message);
}

int JinjaParser::symbol(const std::string& name) {
  const auto [found, added] = symbols_.emplace(name, static_cast<int>(program_.names.size()));
  if (added) program_.names.push_back(name);
  return found->second;
}

// Statements up to a tag of one of these names, which stays; up to the end of the template where there is
// none.
JinjaBody JinjaParser::body_until(const std::vector<std::string_view>& ends, std::string_view opened,
                                  int line) {
  JinjaBody body;
  const auto output = [&]() -> JinjaStatement& {
    if (body.empty() || body.back().kind != JinjaStatement::Kind::kOutput) {
      body.emplace_back();
      body.back().line = current().line;
    }
    return body.back();
  };
  while (current().kind != Kind::kEnd) {
    if (current().kind == Kind::kData) {
      JinjaExprPtr data = make(Expr::Kind::kConst, current().line);
      data->value = JinjaValue::string(next().text);
      output().exprs.push_back(std::move(data));
    } else if (current().kind == Kind::kVariableBegin) {
      next();
      JinjaExprPtr printed = tuple(true, {}, false);
      expect(Kind::kVariableEnd, "end of print statement");
      output().exprs.push_back(std::move(printed));
    } else {
      expect(Kind::kBlockBegin, "begin of statement block");
      const bool at_end =
          std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return is_name(end); });
      if (at_end) return body;
      body.push_back(statement());
      expect(Kind::kBlockEnd, "end of statement block");
    }
  }
  if (ends.empty()) return body;
  std::string wanted;
  for (const std::string_view end : ends) wanted += fmt::format("{}'{}'", wanted.empty() ? "" : " or ", end);
  fail_at(current().line, fmt::format("Unexpected end of template. Jinja was looking for the following tags: "
                                      "{}. The innermost block that needs to be closed is '{}', of line {}.",
                                      wanted, opened, line));
}

JinjaBody JinjaParser::block_body(const std::vector<std::string_view>& ends, std::string_view opened,
                                  int line) {
  skip_operator(":");
  expect(Kind::kBlockEnd, "end of statement block");
  return body_until(ends, opened, line);
}

JinjaBody JinjaParser::closed_body(std::string_view end, std::string_view opened, int line) {
  JinjaBody body = block_body({end}, opened, line);
  next();
  return body;
}

JinjaStatement JinjaParser::statement() {
  using Read = JinjaStatement (JinjaParser::*)(int);
  static constexpr std::array<std::pair<std::string_view, Read>, 8> kReaders = {
      {{"for", &JinjaParser::for_statement},
       {"if", &JinjaParser::if_statement},
       {"set", &JinjaParser::set_statement},
       {"with", &JinjaParser::with_statement},
       {"macro", &JinjaParser::macro_statement},
       {"call", &JinjaParser::call_statement},
       {"filter", &JinjaParser::filter_statement},
       {"print", &JinjaParser::print_statement}}};
  const Nested nested(*this);
  const JinjaToken& token = current();
  if (token.kind != Kind::kName) fail_at(token.line, "tag name expected");
  const auto* const reader = std::find_if(kReaders.begin(), kReaders.end(),
                                          [&](const auto& entry) { return entry.first == token.text; });
  next();
  if (reader != kReaders.end()) return (this->*reader->second)(token.line);
  if (token.text == "break") return loop_jump(token.line, JinjaStatement::Kind::kBreak, token.text);
  if (token.text == "continue") return loop_jump(token.line, JinjaStatement::Kind::kContinue, token.text);
  if (token.text == "generation") {
    JinjaStatement scope;
    scope.kind = JinjaStatement::Kind::kScope;
    scope.line = token.line;
    const int loops = std::exchange(loops_, 0);
    scope.bodies.push_back(closed_body("endgeneration", token.text, token.line));
    loops_ = loops;
    return scope;
  }
  if (token.text.starts_with("end") || token.text == "else" || token.text == "elif")
    fail_at(token.line, fmt::format("Encountered unknown tag '{}'.", token.text));
  refuse_at(token.line, fmt::format("the tag '{}' is not supported", token.text));
}

JinjaStatement JinjaParser::loop_jump(int line, JinjaStatement::Kind kind, std::string_view name) {
  if (loops_ == 0) fail_at(line, fmt::format("'{}' outside loop", name));
  JinjaStatement jump;
  jump.kind = kind;
  jump.line = line;
  return jump;
}

JinjaStatement JinjaParser::for_statement(int line) {
  JinjaStatement loop;
  loop.kind = JinjaStatement::Kind::kFor;
  loop.line = line;
  ++loops_;  // the target of a loop cannot be named `loop` either
  loop.target = target(false, "in");
  --loops_;
  if (!skip_name("in")) unexpected("in");
  loop.exprs.push_back(tuple(false, "recursive", false));
  loop.exprs.push_back(skip_name("if") ? expression() : nullptr);
  loop.recursive = skip_name("recursive");
  ++loops_;
  loop.bodies.push_back(block_body({"endfor", "else"}, "for", line));
  --loops_;
  loop.bodies.push_back(next().text == "else" ? closed_body("endfor", "for", line) : JinjaBody());
  return loop;
}

JinjaStatement JinjaParser::if_statement(int line) {
  const size_t known = unknown_.size();
  JinjaStatement branch;
  branch.kind = JinjaStatement::Kind::kIf;
  branch.line = line;
  while (true) {
    branch.exprs.push_back(tuple(false, {}, false));
    branch.bodies.push_back(block_body({"elif", "else", "endif"}, "if", line));
    const std::string tag = next().text;
    if (tag == "elif") continue;
    branch.bodies.push_back(tag == "else" ? closed_body("endif", "if", line) : JinjaBody());
    unknown_.resize(std::min(known, unknown_.size()));
    return branch;
  }
}

JinjaStatement JinjaParser::set_statement(int line) {
  JinjaStatement set;
  set.line = line;
  set.target = target(true, {});
  if (skip_operator("=")) {
    set.kind = JinjaStatement::Kind::kSet;
    set.exprs.push_back(tuple(true, {}, false));
    return set;
  }
  set.kind = JinjaStatement::Kind::kSetBlock;
  set.exprs.push_back(filter_chain(nullptr, false));
  const int loops = loops_;
  set.bodies.push_back(closed_body("endset", "set", line));
  loops_ = loops;
  return set;
}

JinjaStatement JinjaParser::with_statement(int line) {
  JinjaStatement with;
  with.kind = JinjaStatement::Kind::kWith;
  with.line = line;
  while (current().kind != Kind::kBlockEnd) {
    if (!with.targets.empty()) expect_operator(",");
    with.targets.push_back(target(false, {}));
    expect_operator("=");
    with.exprs.push_back(expression());
  }
  with.bodies.push_back(closed_body("endwith", "with", line));
  return with;
}

std::string JinjaParser::target_name() {
  const JinjaToken& token = expect(Kind::kName, "name");
  for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"})
    if (token.text == constant) fail_at(token.line, "can't assign to 'const'");
  return token.text;
}

void JinjaParser::signature(JinjaMacro& macro) {
  expect_operator("(");
  while (!is_operator(")")) {
    if (!macro.parameters.empty()) expect_operator(",");
    const std::string name = target_name();
    for (const auto& other : macro.parameters)
      if (other.first == name)
        fail_at(current().line, fmt::format("duplicate argument '{}' in macro definition", name));
    if (skip_operator("=")) {
      macro.defaults.push_back(expression());
    } else if (!macro.defaults.empty()) {
      fail_at(current().line, "non-default argument follows default argument");
    }
    macro.parameters.emplace_back(name, symbol(name));
    macro.explicit_caller = macro.explicit_caller || name == "caller";
  }
  expect_operator(")");
}

void JinjaParser::macro_body(JinjaMacro& macro, std::string_view end, std::string_view opened, int line) {
  const int loops = std::exchange(loops_, 0);
  macros_.push_back(&macro);
  macro.body = closed_body(end, opened, line);
  macros_.pop_back();
  loops_ = loops;
  for (const auto& [name, id] : macro.parameters) {
    if (name == "kwargs") macro.uses_kwargs = false;
    if (name == "varargs") macro.uses_varargs = false;
  }
}

JinjaStatement JinjaParser::macro_statement(int line) {
  JinjaStatement statement;
  statement.kind = JinjaStatement::Kind::kMacro;
  statement.line = line;
  statement.macro = std::make_unique<JinjaMacro>();
  statement.macro->name = target_name();
  statement.target.name = symbol(statement.macro->name);
  signature(*statement.macro);
  macro_body(*statement.macro, "endmacro", "macro", line);
  return statement;
}

JinjaStatement JinjaParser::call_statement(int line) {
  JinjaStatement statement;
  statement.kind = JinjaStatement::Kind::kCallBlock;
  statement.line = line;
  statement.macro = std::make_unique<JinjaMacro>();
  if (is_operator("(")) signature(*statement.macro);
  statement.exprs.push_back(expression());
  if (statement.exprs[0]->kind != Expr::Kind::kCall) fail_at(line, "expected call");
  macro_body(*statement.macro, "endcall", "call", line);
  return statement;
}

JinjaStatement JinjaParser::filter_statement(int line) {
  JinjaStatement statement;
  statement.kind = JinjaStatement::Kind::kFilterBlock;
  statement.line = line;
  statement.exprs.push_back(filter_chain(nullptr, true));
  statement.bodies.push_back(closed_body("endfilter", "filter", line));
  return statement;
}

JinjaStatement JinjaParser::print_statement(int line) {
  JinjaStatement statement;
  statement.line = line;
  while (current().kind != Kind::kBlockEnd) {
    if (!statement.exprs.empty()) expect_operator(",");
    statement.exprs.push_back(expression());
  }
  return statement;
}

JinjaTarget JinjaParser::simple_target(bool with_attributes) {
  JinjaTarget one;
  one.line = current().line;
  if (skip_operator("(")) {
    const Nested nested(*this);
    one = target(with_attributes, {});
    expect_operator(")");
    return one;
  }
  if (current().kind != Kind::kName)
    fail_at(current().line, fmt::format("can't assign to '{}'", describe_jinja_token(current())));
  const std::string name = target_name();
  one.name = symbol(name);
  if (with_attributes && skip_operator(".")) {
    one.attribute = expect(Kind::kName, "name").text;
  } else if (loops_ > 0 && name == "loop") {
    fail_at(one.line, "Can't assign to special loop variable in for-loop target");
  }
  return one;
}

JinjaTarget JinjaParser::target(bool with_attributes, std::string_view end_name) {
  JinjaTarget several;
  several.line = current().line;
  while (true) {
    if (!several.parts.empty()) expect_operator(",");
    const bool at_end = current().kind == Kind::kBlockEnd || is_operator(")") || is_operator("=") ||
                        (!end_name.empty() && is_name(end_name));
    if (at_end && several.is_tuple) break;
    several.parts.push_back(simple_target(with_attributes));
    if (!is_operator(",")) break;
    several.is_tuple = true;
  }
  if (!several.is_tuple) return std::move(several.parts.front());
  return several;
}

}  // namespace pare
