// Log-probabilities as clients get them.
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/forward.h"
#include "serve/running_server.h"

namespace pare {
namespace {

using test::ServerTest;

// The choice of a reply to a request for log-probabilities.
class ScoredServerTest : public ServerTest {
 protected:
  Json choice_of(const std::string& target, const Json& body) const {
    return post_json(target, body).at("choices").at(0);
  }
  // ln p of each token behind the first, by one pass over all of them.
  std::vector<double> logprobs_of(const std::vector<int32_t>& ids) const {
    KvCache cache(tiny_.packed, static_cast<int64_t>(ids.size()));
    const Matrix<float> logits = logits_of(tiny_.packed, forward(tiny_.packed, ids, cache));
    std::vector<double> logprobs;
    for (size_t t = 1; t < ids.size(); ++t) {
      const float* row = logits.row(static_cast<int64_t>(t) - 1);
      double sum = 0.0;
      for (int64_t i = 0; i < logits.cols(); ++i) sum += std::exp(static_cast<double>(row[i]));
      logprobs.push_back(static_cast<double>(row[ids[t]]) - std::log(sum));
    }
    return logprobs;
  }
};

// Products of one token and of many sum in other orders, so a score has the last bits of how much of its
// prompt was in a cache.
constexpr double kOtherOrder = 1e-4;

void expect_same_scores(const Json& got, const Json& expected) {
  ASSERT_EQ(got.at("tokens"), expected.at("tokens"));
  EXPECT_EQ(got.at("text_offset"), expected.at("text_offset"));
  for (size_t t = 0; t < expected.at("tokens").size(); ++t) {
    const Json& logprob = expected.at("token_logprobs").at(t);
    if (logprob.is_null())
      EXPECT_TRUE(got.at("token_logprobs").at(t).is_null());
    else
      EXPECT_NEAR(got.at("token_logprobs").at(t).get<double>(), logprob.get<double>(), kOtherOrder);
  }
}

TEST_F(ScoredServerTest, EchoedPromptsAreScored) {
  start();
  const std::vector<int32_t> ids = tiny_.tokenizer.encode("Mira and the tide", {true, true});
  const Json choice = choice_of("/v1/completions", {{"prompt", ids},
                                                    {"echo", true},
                                                    {"logprobs", 1},
                                                    {"max_tokens", 1},
                                                    {"temperature", 0},
                                                    {"ignore_eos", true}});
  const Json& scores = choice.at("logprobs");
  ASSERT_EQ(scores.at("tokens").size(), ids.size() + 1);
  EXPECT_TRUE(scores.at("token_logprobs").at(0).is_null());
  EXPECT_TRUE(scores.at("top_logprobs").at(0).is_null());
  EXPECT_EQ(scores.at("text_offset").at(0), 0);
  const std::vector<double> expected = logprobs_of(ids);
  std::string text;
  for (size_t t = 0; t < ids.size(); ++t) {
    EXPECT_EQ(scores.at("text_offset").at(t), text.size());
    text += scores.at("tokens").at(t).get<std::string>();
    if (t == 0) continue;
    const double logprob = scores.at("token_logprobs").at(t).get<double>();
    EXPECT_NEAR(logprob, expected[t - 1], kOtherOrder);
    // The most probable token is always told, and the token itself.
    const Json& top = scores.at("top_logprobs").at(t);
    EXPECT_LE(top.size(), 2u);
    EXPECT_EQ(top.at(scores.at("tokens").at(t).get<std::string>()), logprob);
  }
  EXPECT_TRUE(choice.at("text").get<std::string>().starts_with("Mira and the tide"));
  // The text of a prompt is that of its tokens.
  const Json none =
      choice_of("/v1/completions",
                {{"prompt", "Mira and the tide"}, {"echo", true}, {"logprobs", 0}, {"max_tokens", 0}});
  EXPECT_EQ(none.at("text"), "Mira and the tide");
  EXPECT_EQ(none.at("finish_reason"), "length");
  EXPECT_EQ(none.at("logprobs").at("token_logprobs").size(), ids.size());
  EXPECT_EQ(choice_of("/v1/completions", {{"prompt", "Mira"}, {"echo", true}, {"max_tokens", 0}}).at("text"),
            "Mira");
}

TEST_F(ScoredServerTest, PromptsOfABatchAreScoredAsAlone) {
  start();
  const std::vector<std::string> prompts = {"Mira", "the tide and the", "and", "a", "Mira and"};
  Json body = {{"prompt", prompts}, {"echo", true}, {"logprobs", 2}, {"max_tokens", 1}, {"temperature", 0}};
  const Json batch = post_json("/v1/completions", body);
  for (size_t i = 0; i < prompts.size(); ++i) {
    body["prompt"] = prompts[i];
    expect_same_scores(batch.at("choices").at(i).at("logprobs"),
                       choice_of("/v1/completions", body).at("logprobs"));
  }
}

TEST_F(ScoredServerTest, TheTokenThatEndsAnAnswerIsScored) {
  start();
  const Json first = choice_of(
      "/v1/completions",
      {{"prompt", "Mira"}, {"max_tokens", 1}, {"temperature", 0}, {"ignore_eos", true}, {"logprobs", 0}});
  const int32_t id = tiny_.tokenizer.encode(first.at("text").get<std::string>()).front();
  const Json ended = choice_of(
      "/v1/completions",
      {{"prompt", "Mira"}, {"max_tokens", 5}, {"temperature", 0}, {"stop_token_ids", {id}}, {"logprobs", 0}});
  EXPECT_EQ(ended.at("finish_reason"), "stop");
  EXPECT_EQ(ended.at("text"), "");
  expect_same_scores(ended.at("logprobs"), first.at("logprobs"));
}

TEST_F(ScoredServerTest, ChatsAreScoredStreamedOrWhole) {
  start();
  Json body = {{"messages", Json::array({{{"role", "user"}, {"content", "Mira and the tide"}}})},
               {"max_tokens", 8},
               {"temperature", 0},
               {"logprobs", true},
               {"top_logprobs", 3}};
  const Json choice = choice_of("/v1/chat/completions", body);
  const Json& content = choice.at("logprobs").at("content");
  ASSERT_FALSE(content.empty());
  for (const Json& token : content) {
    EXPECT_EQ(token.at("top_logprobs").size(), 3u);
    EXPECT_EQ(token.at("logprob"), token.at("top_logprobs").at(0).at("logprob"));  // greedy
    EXPECT_EQ(token.at("bytes"), token.at("top_logprobs").at(0).at("bytes"));
  }
  body["stream"] = true;
  Json streamed = Json::array();
  for (const std::string& data : test::sse_data(post("/v1/chat/completions", body).body)) {
    if (data == "[DONE]") break;
    const Json logprobs = parse_json(data, "event").at("choices").at(0).at("logprobs");
    if (logprobs.is_null()) continue;
    for (const Json& token : logprobs.at("content")) streamed.push_back(token);
  }
  ASSERT_EQ(streamed.size(), content.size());
  for (size_t t = 0; t < content.size(); ++t) {
    EXPECT_EQ(streamed.at(t).at("bytes"), content.at(t).at("bytes"));
    EXPECT_NEAR(streamed.at(t).at("logprob").get<double>(), content.at(t).at("logprob").get<double>(),
                kOtherOrder);
  }
}

TEST_F(ScoredServerTest, AStreamEchoesItsPromptWithItsScores) {
  start();
  Json body = {{"prompt", "Mira and"}, {"echo", true},     {"logprobs", 1},
               {"max_tokens", 6},      {"temperature", 0}, {"ignore_eos", true}};
  const Json choice = choice_of("/v1/completions", body);
  for (const bool scored : {true, false}) {
    body["stream"] = true;
    if (!scored) body.erase("logprobs");
    std::string text;
    Json offsets = Json::array();
    for (const std::string& data : test::sse_data(post("/v1/completions", body).body)) {
      if (data == "[DONE]") break;
      const Json event = parse_json(data, "event").at("choices").at(0);
      text += event.at("text").get<std::string>();
      if (!event.at("logprobs").is_null())
        for (const Json& offset : event.at("logprobs").at("text_offset")) offsets.push_back(offset);
    }
    EXPECT_EQ(text, choice.at("text"));
    if (!scored) continue;
    EXPECT_EQ(offsets, choice.at("logprobs").at("text_offset"));
  }
}

}  // namespace
}  // namespace pare
