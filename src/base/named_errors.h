// Errors that say which file or folder they come from.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace pare {

// Returns whether a message says where it comes from: it begins with the path, or holds the path before
// a file's name or a colon. A folder called "model" is not named by every message with that word.
bool names_path(std::string_view message, std::string_view path);

// Returns what `call` returns. Puts the path before the message of an Error that does not name it; errors of
// pare itself (kInternal) stay as they are.
template <typename Call>
auto naming(const std::string& path, Call&& call) {
  try {
    return call();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal || names_path(error.what(), path)) throw;
    fail(error.code(), "{}: {}", path, error.what());
  }
}

}  // namespace pare
