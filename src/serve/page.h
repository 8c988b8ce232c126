// The page on which models are compared in a browser.
#pragma once

#include <string_view>

namespace pare {

// HTML that needs nothing from elsewhere: it asks this server's own API.
std::string_view compare_page();

}  // namespace pare
