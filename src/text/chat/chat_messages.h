// The messages of a conversation on their way to a template.
#pragma once

#include <string_view>

#include "base/json.h"

namespace pare {

// A copy without what is null, as transformers makes it; a thought is there under each of its names
// ("reasoning_content", "thinking"). Throws kFormat where the list holds what is no message with a role, or a
// content that is neither a text nor a list of parts, and kUnsupported for parts that are no text.
Json checked_messages(const Json& messages);

// Makes texts of contents that are lists of parts, joined by line breaks.
void join_parts(Json& messages);
// Makes lists of one part of contents that are texts.
void wrap_texts(Json& messages);
void rename_role(Json& messages, std::string_view from, std::string_view to);
// Parses arguments of tool calls that are an object's JSON in a text.
void parse_arguments(Json& messages);
// Adds to the last message's text, or to the last of its texts; throws kInvalid when it has none.
void append_to_last(Json& messages, std::string_view text);
// Gives every message without a content an empty one; false when there was none.
bool add_missing_contents(Json& messages);

}  // namespace pare
