// The style sheet of the page, page_style.css.
#pragma once

#include <string_view>

namespace pare {

std::string_view page_style();

}  // namespace pare
