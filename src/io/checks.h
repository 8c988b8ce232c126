// Checks shared by the readers and writers of weight files.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace pare {

bool is_utf8(std::string_view text);

// Throws kFormat unless the name is 1 to max_bytes bytes of UTF-8 without control characters. `kind` says
// what it is the name of, `what` names the file.
void check_name(std::string_view kind, std::string_view name, size_t max_bytes, std::string_view what);
// check_name for a tensor's name, at most 1024 bytes.
void check_tensor_name(std::string_view name, std::string_view what);

// Text from a file made safe to show in a message: at most 100 characters, everything but printable ASCII
// becomes '?'.
std::string printable(std::string_view text);

}  // namespace pare
