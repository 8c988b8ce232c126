// How conversations are written for a model that was named on the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "engine/chat.h"
#include "model/config.h"
#include "model/copy_files.h"

namespace pare {

// --chat-template NAME
void add_chat_template(CLI::App& command, std::string& name);

// What is known before the model is loaded.
struct ModelChat {
  ChatInfo info;
  ChatTemplate chat;
};

// The template of that name, or, when it is empty, the one that the model's own template text is recognised
// as. Throws kUnsupported when there is none, kUsage for an unknown name.
ModelChat read_model_chat(const std::string& model, const std::string& name, const Tokenizer& tokenizer);

// Warns of a token that the tokenizer does not have.
ChatFormat chat_format(const ModelChat& chat, const Tokenizer& tokenizer, const ModelConfig& config);

}  // namespace pare
