// Colours that people with any colour vision can tell apart.
#pragma once

#include <cstddef>
#include <string>

namespace pare {

// Returns a colour of the palette of Okabe and Ito (2008), which begins again after seven.
std::string category_colour(size_t index);

// Returns a colour between dark blue (0) and yellow (1), whose lightness grows evenly, as that of
// matplotlib's cividis does.
std::string ramp_colour(double share);

// Returns the colour, black or white, in which text stands out on a colour "#RRGGBB".
std::string ink_on(const std::string& colour);

}  // namespace pare
