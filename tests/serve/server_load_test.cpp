// Requests that cost much keep nobody else waiting.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "serve/running_server.h"

namespace pare {
namespace {

using test::ask;
using test::http_request;
using test::HttpClient;
using test::HttpReply;
using test::prompt;
using test::ServerTest;
using testing::HasSubstr;

// With a template that takes long where a message says so, until it is out of steps.
class CostlyServerTest : public ServerTest {
 protected:
  CostlyServerTest() {
    options_.limits = {.parallel = 1, .context = 1 << 20, .queue = 8};
    tiny_.packed.config.max_positions = 1 << 20;
  }
  void start_costly() {
    start([this] {
      std::vector<ServedModel> models = tiny_.models();
      models[0].chat = slow_;
      return models;
    });
    wait_until_ready();
  }
  static std::string chat(const std::string& text) {
    const Json message = {{"role", "user"}, {"content", text}};
    const Json body = {{"messages", Json::array({message})}, {"max_tokens", 3}};
    return http_request("POST", "/v1/chat/completions", body.dump());
  }
  // Takes seconds.
  static std::string long_text() {
    const Json body = {{"content", std::string(4 << 20, 'a')}};
    return http_request("POST", "/tokenize", body.dump());
  }

  ChatFormat slow_ = {ChatTemplate({{"default",
                                     "{% if messages[0].content == 'slow' %}{% for i in range(99999) %}"
                                     "{% for j in range(99) %}{{ i * j }}{% endfor %}{% endfor %}{% endif %}"
                                     "{{ messages[0].content }}"}},
                                   {}),
                      tiny_.tokenizer};
};

TEST_F(CostlyServerTest, KeepNobodyWaiting) {
  start_costly();
  for (const std::string& request : {chat("slow"), long_text()}) {
    const HttpClient slow(port_);
    slow.send(request);
    wait_until_at_work(1);
    EXPECT_EQ(ask(port_, "GET", "/health").status, 200);
    EXPECT_EQ(post("/v1/completions", prompt("Mira", 3)).status, 200);
    EXPECT_FALSE(slow.has_more());
    EXPECT_THAT(slow.reply().head, HasSubstr("HTTP/1.1"));
  }
}

TEST_F(CostlyServerTest, AreAnsweredInTheOrderOfTheirConnection) {
  start_costly();
  const HttpClient client(port_);
  client.send(chat("slow") + chat("quick") + http_request("GET", "/version", "", {"Connection: close"}));
  const std::string replies = client.rest();
  const size_t first = replies.find("4000000 steps");
  const size_t second = replies.find("chat.completion", first);
  EXPECT_NE(replies.find("\"version\"", second), std::string::npos) << replies;
}

TEST_F(CostlyServerTest, AreForgottenWhenTheClientGoesAway) {
  start_costly();
  {
    const HttpClient slow(port_);
    slow.send(long_text());
    wait_until_at_work(1);
  }
  wait_until_at_work(0);
  EXPECT_EQ(ask(port_, "GET", "/metrics").body.find("path=\"/tokenize\""), std::string::npos);
}

TEST_F(CostlyServerTest, AreAnsweredBeforeTheServerEnds) {
  options_.drain = 60.0;
  start_costly();
  const HttpClient slow(port_);
  slow.send(long_text());
  wait_until_at_work(1);
  std::raise(SIGTERM);
  EXPECT_THAT(slow.reply().body, HasSubstr("\"count\":"));
  thread_.join();
  server_.reset();
}

TEST_F(CostlyServerTest, AreCutAtTheDeadline) {
  options_.drain = 0.05;
  start_costly();
  const HttpClient slow(port_);
  slow.send(long_text());
  wait_until_at_work(1);
  std::raise(SIGTERM);
  EXPECT_EQ(slow.reply().status, 503);
  thread_.join();
  server_.reset();
}

}  // namespace
}  // namespace pare
