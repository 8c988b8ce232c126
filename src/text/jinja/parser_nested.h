// Depth of the parser's recursion.
#pragma once

#include "text/jinja/parser.h"

namespace pare {

// Depth at which parsing stops. Python's own parser stops long before it.
inline constexpr int kMaxJinjaParseDepth = 200;  // a parenthesis is two
inline constexpr int kMaxJinjaExprHeight = 250;

class JinjaParser::Nested {
 public:
  explicit Nested(JinjaParser& parser) : parser_(parser) {
    if (++parser_.depth_ > kMaxJinjaParseDepth) {
      --parser_.depth_;
      parser_.refuse_at(parser_.current().line,
                        fmt::format("it nests deeper than {} levels, the limit", kMaxJinjaParseDepth));
    }
  }
  ~Nested() { --parser_.depth_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  JinjaParser& parser_;
};

}  // namespace pare
