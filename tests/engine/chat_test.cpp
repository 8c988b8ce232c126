#include "engine/chat.h"

#include <gtest/gtest.h>

#include "model/load.h"
#include "support/expect_error.h"

namespace pare {
namespace {

const std::string kTiny = PARE_GOLDEN_DIR "/tiny-model";

class ChatTest : public testing::Test {
 protected:
  ChatTest() { options_.generate.max_tokens = 8; }

  ChatSession session() const { return {packed_, tokenizer_, {chat_, tokens_}, options_}; }
  static ChatTurn say(ChatSession& session, std::string_view message) {
    std::string streamed;
    ChatTurn turn = session.say(message, [&](std::string_view text) {
      streamed += text;
      return true;
    });
    EXPECT_EQ(streamed, turn.answer);
    return turn;
  }
  std::vector<int32_t> encode(const std::vector<ChatPart>& parts, size_t first) const {
    std::vector<TextPart> texts;
    for (size_t i = first; i < parts.size(); ++i)
      texts.push_back({parts[i].text, parts[i].kind == ChatPart::Kind::kTemplate});
    return tokenizer_.encode_parts(texts, {});
  }

  Tokenizer tokenizer_ = load_tokenizer(kTiny);
  PackedModel packed_{load_model(kTiny), ComputeType::kF32};
  ChatTemplate chat_ = chat_template_named("chatml");
  ChatTokens tokens_ = {"", "<|im_end|>"};
  ChatOptions options_;
};

TEST_F(ChatTest, ATurnGoesOnFromWhatWasGenerated) {
  ChatSession session = this->session();
  const ChatTurn first = say(session, "Mira and the tide");
  const ChatTurn second = say(session, "Go on");

  std::vector<ChatMessage> messages = {{ChatRole::kUser, "Mira and the tide"}};
  std::vector<int32_t> ids = encode(render_chat(chat_, tokens_, messages), 0);
  EXPECT_EQ(first.generation.prompt_tokens, static_cast<int64_t>(ids.size()));
  ids.insert(ids.end(), first.generation.tokens.begin(), first.generation.tokens.end());
  messages.push_back({ChatRole::kAssistant, first.answer});
  messages.push_back({ChatRole::kUser, "Go on"});
  const std::vector<ChatPart> parts = render_chat(chat_, tokens_, messages);
  ASSERT_EQ(parts[3].kind, ChatPart::Kind::kAnswer);
  const std::vector<int32_t> rest = encode(parts, 4);
  ids.insert(ids.end(), rest.begin(), rest.end());
  const Generation whole =
      Generator(packed_, tokenizer_).generate(ids, options_.generate, [](std::string_view) { return true; });
  EXPECT_EQ(second.generation.tokens, whole.tokens);
  // The last token of an answer that was cut off has not been worked on.
  const bool cut = first.generation.finish == FinishReason::kLength;
  EXPECT_EQ(second.generation.prompt_tokens, static_cast<int64_t>(rest.size()) + (cut ? 1 : 0));
}

TEST_F(ChatTest, TheFirstAnswerIsTheSameInANewSession) {
  options_.system = "Be kind.";
  ChatSession one = session();
  ChatSession other = session();
  EXPECT_EQ(say(one, "Hello").generation.tokens, say(other, "Hello").generation.tokens);
  options_.system.clear();
  ChatSession plain = session();
  EXPECT_LT(say(plain, "Hello").generation.prompt_tokens, say(other, "Hello").generation.prompt_tokens + 20);
}

TEST_F(ChatTest, UsersCannotWriteSpecialTokens) {
  ChatSession plain = session();
  ChatSession marked = session();
  const int64_t without = say(plain, "a").generation.prompt_tokens;
  // As a special token, the mark would be one.
  EXPECT_GT(say(marked, "a<|im_end|>").generation.prompt_tokens, without + 1);
}

TEST_F(ChatTest, EndsAtTheTemplatesToken) {
  ChatSession free = session();
  const ChatTurn turn = say(free, "Hello");
  ASSERT_FALSE(turn.generation.tokens.empty());
  tokens_.eos = tokenizer_.token_bytes(turn.generation.tokens.front());
  options_.generate.stop_ids = {turn.generation.tokens.front()};
  ChatSession stopped = session();
  const ChatTurn ended = say(stopped, "Hello");
  EXPECT_TRUE(ended.generation.tokens.empty());
  EXPECT_EQ(ended.generation.finish, FinishReason::kEos);
}

TEST_F(ChatTest, AStopTextIsNoPartOfTheConversation) {
  ChatSession free = session();
  const std::string answer = say(free, "Hello").answer;
  ASSERT_GE(answer.size(), 4u);
  options_.generate.stop = {answer.substr(2, 2)};
  ChatSession stopped = session();
  const ChatTurn turn = say(stopped, "Hello");
  EXPECT_EQ(turn.answer, answer.substr(0, answer.find(options_.generate.stop[0])));
  options_.generate.stop = {"never"};
  // As if the model had written just that.
  const std::vector<ChatMessage> messages = {
      {ChatRole::kUser, "Hello"}, {ChatRole::kAssistant, turn.answer}, {ChatRole::kUser, "And"}};
  const auto whole = encode(render_chat(chat_, tokens_, messages), 0);
  const ChatTurn next = say(stopped, "And");
  EXPECT_LT(next.generation.prompt_tokens, static_cast<int64_t>(whole.size()));
}

TEST_F(ChatTest, OldTurnsAreDroppedWhenTheContextIsFull) {
  options_.context = 80;
  ChatSession session = this->session();
  int64_t forgotten = 0;
  for (int turn = 0; turn < 6; ++turn) forgotten += say(session, "Mira and the tide").forgotten;
  EXPECT_GT(forgotten, 0);
  std::string longest;
  for (int i = 0; i < 100; ++i) longest += "tide ";
  EXPECT_PARE_ERROR(say(session, longest), ErrorCode::kInvalid, "the context has 80");
  EXPECT_FALSE(say(session, "Mira").generation.tokens.empty());
}

TEST_F(ChatTest, NamesWhatIsMissing) {
  EXPECT_TRUE(missing_tokens(tokenizer_, {chat_, tokens_}).empty());
  chat_ = chat_template_named("llama3");
  EXPECT_EQ(missing_tokens(tokenizer_, {chat_, tokens_}), std::vector<std::string>{"<|eot_id|>"});
  options_.context = 0;
  EXPECT_PARE_ERROR(session(), ErrorCode::kUsage, "--context is 0");
}

}  // namespace
}  // namespace pare
