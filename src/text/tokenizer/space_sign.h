// SentencePiece writes a space as U+2581.
#pragma once

#include <string_view>

namespace pare {

inline constexpr std::string_view kSpaceSign = "\xe2\x96\x81";
inline constexpr char32_t kSpaceSignCode = 0x2581;

}  // namespace pare
