// Files that must be text: unpacked, checked, and named for what they are when they are not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace pare {

inline constexpr uint64_t kMaxTextBytes = (uint64_t{1} << 31) - 1;

// Name of the format that begins with these bytes, and advice on how to get at its text. Both are empty when
// the bytes begin no known format.
struct ForeignFormat {
  std::string_view name;
  std::string_view advice;
};
ForeignFormat foreign_format(std::string_view bytes);

// The text that a file's bytes hold: gzip is unpacked, a byte order mark left out. Throws kFormat naming
// `what` and what to do when it is of another format, in another encoding than UTF-8 (with offset and line),
// holds NUL bytes, or is longer than kMaxTextBytes. A character that the end of the text cuts is left out,
// with a warning. Empty text is text.
std::string text_of_bytes(std::string_view bytes, std::string_view what);

// The text of a file, as text_of_bytes gives it. Also throws kNotFound and kIo.
std::string read_text_file(const std::filesystem::path& path);

}  // namespace pare
