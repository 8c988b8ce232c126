// Chat format of a model that was named on the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "checkpoint/chat_info.h"
#include "engine/chat.h"

namespace pare {

// Adds --chat-template NAME or FILE.jinja.
void add_chat_template(CLI::App& command, std::string& name);
// Adds --chat-template-kwargs JSON.
void add_template_variables(CLI::App& command, std::string& json);

// Returns the model's own template, or, where a name is given, the style of that name or the file of that
// path. Warns of a token that the style needs and the tokenizer does not have. Throws kUnsupported where the
// model has no template or one that cannot be run, kUsage for an unknown name, and what the template's
// parser throws. Messages do not name the model.
ChatFormat chat_format(const ChatInfo& info, const std::string& name, const Tokenizer& tokenizer);

// Parses an object; null where the text is empty. Throws kUsage.
Json parse_template_variables(const std::string& json);

}  // namespace pare
