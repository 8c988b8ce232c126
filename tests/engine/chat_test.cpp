#include "engine/chat.h"

#include <gtest/gtest.h>

#include "checkpoint/load.h"
#include "support/expect_error.h"
#include "text/chat/chat_styles.h"

namespace pare {
namespace {

const std::string kTiny = PARE_GOLDEN_DIR "/tiny-model";

class ChatTest : public testing::Test {
 protected:
  ChatTest() { options_.generate.max_tokens = 8; }

  ChatSession session() const { return {packed_, tokenizer_, {chat_, tokenizer_}, options_}; }
  static ChatTurn say(ChatSession& session, std::string_view message) {
    std::string streamed;
    ChatTurn turn = session.say(message, [&](std::string_view text) {
      streamed += text;
      return true;
    });
    EXPECT_EQ(streamed, turn.answer);
    return turn;
  }
  static ChatTemplate chatml(const std::string& eos) {
    return chat_template_named("chatml", {{"eos_token", eos}});
  }
  static Json message(const char* role, const std::string& text) {
    return Json::object({{"role", role}, {"content", text}});
  }
  std::vector<JinjaSpan> render(Json messages) const {
    ChatInput input;
    input.messages = std::move(messages);
    return chat_.render(input);
  }
  std::vector<int32_t> encode(const std::vector<JinjaSpan>& spans, size_t first) const {
    return encode_chat(tokenizer_, std::span(spans).subspan(first));
  }

  Tokenizer tokenizer_ = load_tokenizer(kTiny);
  PackedModel packed_{load_model(kTiny), ComputeType::kF32};
  ChatTemplate chat_ = chatml("<|im_end|>");
  ChatOptions options_;
};

TEST_F(ChatTest, ATemplateThatWritesNothingIsRefused) {
  chat_ = ChatTemplate({{"default", ""}}, {});
  ChatSession session = this->session();
  EXPECT_PARE_ERROR(say(session, "Mira"), ErrorCode::kInvalid, "writes nothing for this conversation");
}

TEST_F(ChatTest, ATurnGoesOnFromWhatWasGenerated) {
  ChatSession session = this->session();
  const ChatTurn first = say(session, "Mira and the tide");
  const ChatTurn second = say(session, "Go on");

  Json messages = Json::array({message("user", "Mira and the tide")});
  std::vector<int32_t> ids = encode(render(messages), 0);
  EXPECT_EQ(first.generation.prompt_tokens, static_cast<int64_t>(ids.size()));
  ids.insert(ids.end(), first.generation.tokens.begin(), first.generation.tokens.end());
  messages.push_back(message("assistant", first.answer));
  messages.push_back(message("user", "Go on"));
  const std::vector<JinjaSpan> spans = render(messages);
  ASSERT_EQ(spans[3].origin, 1);
  const std::vector<int32_t> rest = encode(spans, 4);
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
  chat_ = chatml(tokenizer_.token_bytes(turn.generation.tokens.front()));
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
  const auto whole = encode(render(Json::array({message("user", "Hello"), message("assistant", turn.answer),
                                                message("user", "And")})),
                            0);
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

TEST_F(ChatTest, AnAnswerThatTheTemplateRewritesIsReadAnew) {
  chat_ = ChatTemplate(
      {{"default",
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content[:1] if m.role == 'assistant' else "
        "m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
        "{% endif %}"}},
      {});
  ChatSession session = this->session();
  const ChatTurn first = say(session, "Mira and the tide");
  ASSERT_GE(first.answer.size(), 2u);
  const ChatTurn second = say(session, "Go on");
  const std::vector<int32_t> ids =
      encode(render(Json::array({message("user", "Mira and the tide"), message("assistant", first.answer),
                                 message("user", "Go on")})),
             0);
  const Generation whole =
      Generator(packed_, tokenizer_).generate(ids, options_.generate, [](std::string_view) { return true; });
  EXPECT_EQ(second.generation.tokens, whole.tokens);
  EXPECT_LT(second.generation.prompt_tokens, static_cast<int64_t>(ids.size()));
}

TEST_F(ChatTest, VariablesReachTheTemplate) {
  chat_ = ChatTemplate({{"default", "{{ raise_exception(why) }}"}}, {});
  options_.variables = Json::object({{"why", "not today"}});
  ChatSession session = this->session();
  EXPECT_PARE_ERROR(say(session, "Hello"), ErrorCode::kInvalid, "not today");
}

TEST_F(ChatTest, TheContextHasRoom) {
  options_.context = 0;
  EXPECT_PARE_ERROR(session(), ErrorCode::kUsage, "`context` is 0");
}

}  // namespace
}  // namespace pare
