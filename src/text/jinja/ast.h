// A parsed template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/builtins.h"
#include "text/jinja/value.h"
#include "text/jinja/value_ops.h"

namespace pare {

struct JinjaExpr;
using JinjaExprPtr = std::unique_ptr<JinjaExpr>;

struct JinjaCallArgs {
  std::vector<JinjaExprPtr> positional;
  std::vector<std::pair<std::string, JinjaExprPtr>> keyword;
  JinjaExprPtr star;         // *args
  JinjaExprPtr double_star;  // **kwargs
};

enum class JinjaCompare : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

struct JinjaExpr {
  enum class Kind : uint8_t {
    kConst,
    kName,
    kList,
    kTuple,
    kDict,       // children: key, value, key, …
    kAttribute,  // children[0].text
    kItem,       // children[0][children[1]]
    kSlice,      // children[0][children[1] : children[2] : children[3]], of which the latter may be null
    kCall,       // children[0](args)
    kFilter,     // children[0]|text(args); no child: the text of the block
    kTest,       // children[0] is text(args)
    kNegate,
    kPlus,
    kNot,
    kBinary,
    kConcat,
    kAnd,
    kOr,
    kCompare,   // children[0] compares[0] children[1] compares[1] …
    kCondition  // children[1] if children[0] else children[2], which may be null
  };
  Kind kind = Kind::kConst;
  int line = 0;
  int height = 1;
  int name = -1;     // symbol of a kName
  std::string text;  // name of an attribute, filter or test
  JinjaValue value;
  std::vector<JinjaExprPtr> children;
  JinjaCallArgs args;
  std::vector<JinjaCompare> compares;
  JinjaOperator op = JinjaOperator::kAdd;
  JinjaFilter filter = nullptr;  // null: not known, an error when it is reached
  JinjaTest test = nullptr;
};

// Target of an assignment: a name, an attribute of a namespace, or several of them.
struct JinjaTarget {
  int line = 0;
  int name = -1;          // symbol
  std::string attribute;  // attribute of the namespace `name`; empty: the name itself
  bool is_tuple = false;
  std::vector<JinjaTarget> parts;
};

struct JinjaStatement;
using JinjaBody = std::vector<JinjaStatement>;

struct JinjaMacro {
  std::string name;                                     // empty in a call block
  std::vector<std::pair<std::string, int>> parameters;  // names and their symbols
  std::vector<JinjaExprPtr> defaults;                   // default values of the last parameters
  JinjaBody body;
  bool uses_caller = false;
  bool uses_kwargs = false;
  bool uses_varargs = false;
  bool explicit_caller = false;
};

struct JinjaStatement {
  enum class Kind : uint8_t {
    kOutput,       // exprs
    kFor,          // target in exprs[0] if exprs[1]: bodies[0], else bodies[1]
    kIf,           // exprs[i]: bodies[i], else bodies.back()
    kSet,          // target = exprs[0]
    kSetBlock,     // target = bodies[0], through the filters exprs[0]
    kWith,         // targets[i] = exprs[i]: bodies[0]
    kMacro,        // target = macro
    kCallBlock,    // exprs[0] with macro as caller
    kFilterBlock,  // exprs[0] of bodies[0]
    kScope,        // bodies[0] in a scope of its own
    kBreak,
    kContinue
  };
  Kind kind = Kind::kOutput;
  int line = 0;
  bool recursive = false;
  JinjaTarget target;
  std::vector<JinjaTarget> targets;
  std::vector<JinjaExprPtr> exprs;
  std::vector<JinjaBody> bodies;
  std::unique_ptr<JinjaMacro> macro;
};

struct JinjaProgram {
  JinjaBody body;
  std::vector<std::string> names;  // by symbol
  // The symbols of names that the interpreter itself sets.
  int loop = -1, caller = -1, kwargs = -1, varargs = -1;
};

}  // namespace pare
