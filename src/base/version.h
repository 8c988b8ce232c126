// The version of pare, as the build knows it.
#pragma once

#include <string_view>

namespace pare {

std::string_view version();  // "0.1.0"

}  // namespace pare
