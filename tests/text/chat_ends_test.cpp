#include "text/chat/chat_ends.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "text/chat/chat_styles.h"

namespace pare {
namespace {

class ChatEndsTest : public testing::Test {
 protected:
  ChatEnds ends(const std::string& source, const std::string& eos = "") const {
    std::map<std::string, std::string> tokens;
    if (!eos.empty()) tokens["eos_token"] = eos;
    return chat_ends(ChatTemplate({{"default", source}}, tokens), tokenizer_);
  }
  int32_t id(const char* text) const { return tokenizer_.token_id(text).value(); }

  Tokenizer tokenizer_ =
      Tokenizer::from_json(read_file(PARE_GOLDEN_DIR "/tiny-model/tokenizer.json", uint64_t{1} << 24));
};

const std::string kLoop = "{% for m in messages %}";

TEST_F(ChatEndsTest, TheTokenBehindAnAnswer) {
  const ChatEnds chatml = ends(std::string(chat_style_named("chatml").source));
  EXPECT_THAT(chatml.ids, testing::ElementsAre(id("<|im_end|>")));
  EXPECT_TRUE(chatml.texts.empty());
  const ChatEnds spaced = ends(kLoop + "{{ m.content }} {{ eos_token }}{% endfor %}", "<|im_end|>");
  EXPECT_THAT(spaced.ids, testing::ElementsAre(id("<|im_end|>")));
}

TEST_F(ChatEndsTest, ALastAnswerMayEndOtherwise) {
  const ChatEnds both =
      ends(kLoop + "{{ m.content }}{{ '<|endoftext|>' if loop.last else '<|im_end|>' }}{% endfor %}");
  EXPECT_THAT(both.ids, testing::UnorderedElementsAre(id("<|im_end|>"), id("<|endoftext|>")));
}

TEST_F(ChatEndsTest, WithoutATokenTheNextQuestionEndsIt) {
  const ChatEnds phi2 = ends(std::string(chat_style_named("phi2").source), "<|endoftext|>");
  EXPECT_THAT(phi2.texts, testing::ElementsAre("\nInstruct:"));
  EXPECT_THAT(phi2.ids, testing::ElementsAre(id("<|endoftext|>")));
  EXPECT_TRUE(ends(kLoop + "{{ m.content }}\n{% endfor %}").texts.empty());
}

TEST_F(ChatEndsTest, ATemplateThatRefusesHasEosAlone) {
  const ChatEnds refused = ends("{{ raise_exception('no') }}", "<|im_end|>");
  EXPECT_THAT(refused.ids, testing::ElementsAre(id("<|im_end|>")));
  EXPECT_TRUE(refused.texts.empty());
}

}  // namespace
}  // namespace pare
