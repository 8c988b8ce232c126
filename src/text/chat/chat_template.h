// Conversations as text: a model's chat template, which is a Jinja program, run over messages.
#pragma once

#include <ctime>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/jinja/template.h"

namespace pare {

// Places where a written conversation can end.
enum class ChatEnding {
  kAnswer,     // where a new answer begins, behind the template's generation prompt
  kContinued,  // inside the last message, which the model goes on with
  kClosed      // behind the last message
};

// Input of a template, as the API and transformers have it.
struct ChatInput {
  Json messages = Json::array();  // objects, each with a "role"
  Json tools;                     // a list, or null
  Json documents;                 // a list, or null
  Json variables;                 // an object of further variables ("enable_thinking"), or null
  ChatEnding ending = ChatEnding::kAnswer;
  std::optional<std::tm> now;  // local time; nothing: the clock
};

// Returns the ending by default: a last message of the assistant that has a text is continued.
ChatEnding natural_ending(const Json& messages);

// The origins of the parts of a written conversation: kTemplateOrigin, the index of a message, or, behind the
// last message, those of tools, documents and further variables. Special tokens are meant in the template's
// parts alone.
class ChatTemplate {
 public:
  // `sources`: Jinja by name; "default" is run, "tool_use" where tools are given and there is one. `tokens`:
  // variables that hold special tokens ("bos_token"). Throws as JinjaTemplate::parse does, and kUnsupported
  // naming the templates when there is no default among them.
  ChatTemplate(const std::map<std::string, std::string>& sources, std::map<std::string, std::string> tokens);

  // Writes a conversation as transformers' apply_chat_template does. Contents that are lists of texts are
  // joined by line breaks for a template that takes texts alone, and a text becomes a list for one that takes
  // lists alone. The arguments of calls that are JSON in a text are parsed for a template that wants objects.
  // A developer's message is the system's for a template that leaves it out. Keys with null are left out;
  // where the template needs a content that is not there, it is empty. Throws kFormat for messages that are
  // none, kInvalid with the template's own message for what it refuses, else as JinjaTemplate::render does.
  std::vector<JinjaSpan> render(const ChatInput& input) const;

  const std::map<std::string, std::string>& tokens() const { return tokens_; }

 private:
  // Properties of a template, found by probing: which messages and arguments it can be given.
  struct Needs {
    bool takes_text = true;
    bool takes_parts = false;
    bool parses_arguments = false;  // arguments of calls must be objects
    bool takes_developer = true;    // knows the role "developer"; else such a message is "system"
  };
  struct Program {
    std::optional<JinjaTemplate> code;
    std::optional<Error> error;  // the reason why there is no code
    Needs needs;
  };

  static Program parse(const std::string& source);
  const Program& program_for(const ChatInput& input) const;
  Needs probe(const JinjaTemplate& code) const;
  JinjaValue variables_of(const Json& messages, const ChatInput& input) const;
  std::vector<JinjaSpan> run(const JinjaTemplate& code, const Json& messages, const ChatInput& input) const;

  std::map<std::string, std::string> tokens_;
  Program default_;
  std::optional<Program> tool_use_;
};

// The text of all parts.
std::string text_of(std::span<const JinjaSpan> spans);

}  // namespace pare
