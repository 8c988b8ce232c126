#include "text/chat/chat_ends.h"

#include <algorithm>
#include <string_view>

namespace pare {
namespace {

constexpr std::string_view kAnswer = "PROBEANSWER";
constexpr std::string_view kQuestion = "PROBEQUESTION";
constexpr std::string_view kSpace = " \t\r\n";
constexpr size_t kMinTextBytes = 4;  // fewest bytes of an end that is a text: a shorter one would cut answers

Json message(const char* role, std::string_view content) {
  return Json::object({{"role", role}, {"content", std::string(content)}});
}

// Returns what the template writes behind an answer, up to the next question or the end. Empty if it refuses.
std::string behind_answer(const ChatTemplate& chat, bool asked_again) {
  ChatInput input;
  input.messages = Json::array({message("user", "PROBE"), message("assistant", kAnswer)});
  if (asked_again) input.messages.push_back(message("user", kQuestion));
  input.ending = ChatEnding::kClosed;
  try {
    const std::string text = text_of(chat.render(input));
    const size_t answer = text.find(kAnswer);
    if (answer == std::string::npos) return {};
    const size_t begin = answer + kAnswer.size();
    return text.substr(begin, asked_again ? text.find(kQuestion, begin) - begin : std::string::npos);
  } catch (const Error&) {
    return {};
  }
}

bool is_space(std::string_view text) { return text.find_first_not_of(kSpace) == std::string_view::npos; }

// Returns the longest added token that the text begins with behind white space.
const AddedToken* first_token(const Tokenizer& tokenizer, std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  const AddedToken* found = nullptr;
  for (const AddedToken& token : tokenizer.spec().added)
    if (!is_space(token.text) && text.starts_with(token.text) &&
        (found == nullptr || token.text.size() > found->text.size()))
      found = &token;
  return found;
}

}  // namespace

ChatEnds chat_ends(const ChatTemplate& chat, const Tokenizer& tokenizer) {
  ChatEnds ends;
  const auto add = [&](int32_t id) {
    if (std::find(ends.ids.begin(), ends.ids.end(), id) == ends.ids.end()) ends.ids.push_back(id);
  };
  std::string between = behind_answer(chat, true);
  for (const std::string& text : {between, behind_answer(chat, false)})
    if (const AddedToken* token = first_token(tokenizer, text)) add(token->id);
  if (ends.ids.empty()) {
    between.resize(between.find_last_not_of(kSpace) + 1);
    if (between.size() >= kMinTextBytes) ends.texts.push_back(std::move(between));
  }
  const auto eos = chat.tokens().find("eos_token");
  if (eos != chat.tokens().end())
    if (const auto id = tokenizer.token_id(eos->second)) add(*id);
  return ends;
}

}  // namespace pare
