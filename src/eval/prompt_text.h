// String functions for the prompts of lm-evaluation-harness, as Python's own methods do them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pare {

// Texts are UTF-8. White space is what str.isspace() says.
std::string_view strip(std::string_view text);
// Leaves out white space at the end.
std::string_view strip_end(std::string_view text);
std::string_view strip_start(std::string_view text);
// text[:-1]: all but the last code point.
std::string_view without_last(std::string_view text);
// str.replace: every occurrence, found from the left.
std::string replace_all(std::string_view text, std::string_view what, std::string_view with);
// re.sub(r"\[.*?\]", ""): brackets and what they hold, on one line.
std::string remove_brackets(std::string_view text);
// str.capitalize, for letters of ASCII and Latin-1; others stay as they are.
std::string capitalize(std::string_view text);
// text[0].lower() + text[1:], for letters of ASCII and Latin-1.
std::string uncapitalize(std::string_view text);
// len(): code points.
int64_t character_count(std::string_view text);

}  // namespace pare
