// Template text to tokens, after jinja2's lexer.py with trim_blocks and lstrip_blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace pare {

struct JinjaToken {
  enum class Kind : uint8_t {
    kData,           // text between tags
    kVariableBegin,  // {{
    kVariableEnd,
    kBlockBegin,  // {%
    kBlockEnd,
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd
  };
  Kind kind = Kind::kEnd;
  int line = 1;
  std::string text;   // data, names, strings (unescaped) and operators
  JinjaValue number;  // value of kInteger and kFloat
};

// Ends with kEnd. Throws kFormat with "line N: ".
std::vector<JinjaToken> lex_jinja(std::string_view source);

// Returns the name of a token in error messages, in jinja2's words.
std::string describe_jinja_token(const JinjaToken& token);

}  // namespace pare
