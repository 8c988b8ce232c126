// Finding and comparing bytes, for as much of the current JinjaMeter's work as it takes.
#pragma once

#include <cstddef>
#include <string_view>

namespace pare {

// Search as find and rfind of std::string_view, in a time that is linear in both texts. The found place
// begins at `from` or behind it; it ends at `end` or before it. npos where there is none.
size_t jinja_find(std::string_view text, std::string_view wanted, size_t from = 0);
size_t jinja_rfind(std::string_view text, std::string_view wanted, size_t end);

bool jinja_same_text(std::string_view a, std::string_view b);

}  // namespace pare
