#include "options/chat_format.h"

#include <filesystem>

#include "base/log.h"
#include "base/mapped_file.h"
#include "text/chat/chat_styles.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxTemplateBytes = 4 << 20;

ChatTemplate named_template(const std::string& name, std::map<std::string, std::string> tokens,
                            const Tokenizer& tokenizer) {
  if (fs::path(name).extension() == ".jinja" || fs::is_regular_file(name)) {
    try {
      return {{{"default", read_file(name, kMaxTemplateBytes)}}, std::move(tokens)};
    } catch (const Error& error) {
      fail(error.code(), "{}: {}", name, error.what());
    }
  }
  const ChatStyle& style = chat_style_named(name);
  if (!style.mark.empty() && !tokenizer.token_id(style.mark))
    log_warning("the tokenizer has no token {}: the template's marks are written as plain text", style.mark);
  return chat_template_named(name, std::move(tokens));
}

}  // namespace

void add_chat_template(CLI::App& command, std::string& name) {
  command.add_option("--chat-template", name,
                     "How conversations are written, instead of the model's template: a .jinja file, or " +
                         chat_style_names());
}

void add_template_variables(CLI::App& command, std::string& json) {
  command.add_option("--chat-template-kwargs", json,
                     "Variables of the chat template, as JSON: {\"enable_thinking\": false}");
}

ChatFormat chat_format(const ChatInfo& info, const std::string& name, const Tokenizer& tokenizer) {
  if (!name.empty()) return {named_template(name, info.tokens, tokenizer), tokenizer};
  if (info.templates.empty())
    fail(ErrorCode::kUnsupported,
         "the model has no chat template: name one with --chat-template (a .jinja file, or {})",
         chat_style_names());
  try {
    return {{info.templates, info.tokens}, tokenizer};
  } catch (const Error& error) {
    fail(ErrorCode::kUnsupported,
         "the model's chat template cannot be run: {}; --chat-template names another", error.what());
  }
}

Json parse_template_variables(const std::string& json) {
  if (json.empty()) return nullptr;
  try {
    Json variables = parse_json(json, "--chat-template-kwargs");
    if (variables.is_object()) return variables;
  } catch (const Error& error) {
    fail(ErrorCode::kUsage, "{}", error.what());
  }
  fail(ErrorCode::kUsage, "--chat-template-kwargs is not a JSON object");
}

}  // namespace pare
