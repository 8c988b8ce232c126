// The standard output.
#pragma once

#include <string_view>

#include "base/json.h"

namespace pare {

// Thrown when the reader of our output has gone (`pare … | head`): nothing failed, but going on is useless.
struct OutputClosed {};

// Writes and flushes. Throws OutputClosed, or kIo (disk full).
void print(std::string_view text);
// Prints pretty JSON and a newline; bytes that are not UTF-8 become U+FFFD.
void print_json(const Json& json);

template <typename... Args>
void print_line(fmt::format_string<Args...> format, Args&&... args) {
  print(fmt::format(format, std::forward<Args>(args)...) + "\n");
}

}  // namespace pare
