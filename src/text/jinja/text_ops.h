// Functions shared by str methods and text filters. Positions are bytes unless said otherwise.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/jinja/origin_string.h"
#include "text/jinja/value.h"

namespace pare {

enum class JinjaSide : uint8_t { kBoth, kLeft, kRight };

// A text without white space at its ends, or without the characters of `chars` where it is not null.
JinjaString strip_text(const JinjaString& text, const JinjaString* chars, JinjaSide side);
// str.split and rsplit: at white space where `separator` is null; limit < 0 for no limit.
std::vector<JinjaValue> split_text(const JinjaString& text, const JinjaString* separator, int64_t limit);
std::vector<JinjaValue> rsplit_text(const JinjaString& text, const JinjaString* separator, int64_t limit);
std::vector<JinjaString> split_lines(const JinjaString& text, bool keep_ends);
// Replaces at most `limit` places; limit < 0 for no limit.
JinjaString replace_text(const JinjaString& text, const JinjaString& from, const JinjaString& to,
                         int64_t limit);
// Pads with `fill` to `width` characters; where kBoth, as str.center.
JinjaString pad_text(const JinjaString& text, int64_t width, const JinjaString& fill, JinjaSide padded);
// Each item as text, with `separator` between.
JinjaString join_texts(const JinjaString& separator, const std::vector<JinjaValue>& items, bool only_strings);

}  // namespace pare
