// Errors of a running template, on their way to the evaluator, which knows the line.
#pragma once

#include <string>
#include <utility>

#include "base/error.h"

namespace pare {

struct JinjaFault {
  ErrorCode code;
  std::string message;
};

template <typename... Args>
[[noreturn]] void jinja_fault(fmt::format_string<Args...> format, Args&&... args) {
  throw JinjaFault{ErrorCode::kInvalid, fmt::format(format, std::forward<Args>(args)...)};
}

// Throws for what Python could do and this interpreter does not.
template <typename... Args>
[[noreturn]] void jinja_unsupported(fmt::format_string<Args...> format, Args&&... args) {
  throw JinjaFault{ErrorCode::kUnsupported, fmt::format(format, std::forward<Args>(args)...)};
}

}  // namespace pare
