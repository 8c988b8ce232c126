// A server that begins, has much to do, and ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <future>

#include "serve/running_server.h"
#include "support/expect_error.h"

namespace pare {
namespace {

using test::ask;
using test::http_request;
using test::HttpClient;
using test::HttpReply;
using test::prompt;
using test::ServerTest;
using testing::HasSubstr;

TEST_F(ServerTest, SaysThatItsModelsLoad) {
  std::promise<void> go;
  start([this, wait = go.get_future().share()] {
    wait.wait();
    return tiny_.models();
  });
  EXPECT_EQ(ask(port_, "GET", "/health").status, 503);
  EXPECT_EQ(ask(port_, "GET", "/health").body, R"({"status":"loading"})");
  const HttpReply reply = post("/v1/completions", prompt("Mira"));
  EXPECT_EQ(reply.status, 503);
  EXPECT_THAT(reply.head, HasSubstr("Retry-After: 2"));
  EXPECT_THAT(error_of(reply), HasSubstr("loading"));
  EXPECT_EQ(ask(port_, "GET", "/v1/models").status, 503);
  EXPECT_EQ(ask(port_, "GET", "/metrics").status, 200);
  EXPECT_EQ(ask(port_, "GET", "/").status, 200);
  go.set_value();
  wait_until_ready();
  EXPECT_EQ(post("/v1/completions", prompt("Mira")).status, 200);
}

TEST_F(ServerTest, EndsWithWhatKeepsItsModelsFromLoading) {
  Server server(options_);
  EXPECT_PARE_ERROR(server.run([]() -> std::vector<ServedModel> { fail(ErrorCode::kInvalid, "too large"); }),
                    ErrorCode::kInvalid, "too large");
}

// Requests that would take long enough to be in the way of one another.
class BusyServerTest : public ServerTest {
 protected:
  BusyServerTest() {
    options_.limits = {.parallel = 1, .context = 1 << 20, .queue = 2};
    tiny_.packed.config.max_positions = 1 << 20;
  }
  Json long_stream() const {
    Json body = prompt("Mira", 1000000);
    body["stream"] = true;
    return body;
  }
};

TEST_F(BusyServerTest, AClientThatGoesAwayEndsItsRequest) {
  start();
  {
    const HttpClient streaming(port_);
    streaming.send(http_request("POST", "/v1/completions", long_stream().dump()));
    EXPECT_THAT(streaming.receive(), HasSubstr("200 OK"));
    const HttpClient waiting(port_);
    Json body = long_stream();
    body["stream"] = false;
    waiting.send(http_request("POST", "/v1/completions", body.dump()));
  }
  // Neither would leave room for this one for minutes.
  EXPECT_EQ(post_json("/v1/completions", prompt("Mira", 3)).at("usage").at("completion_tokens"), 3);
}

TEST_F(BusyServerTest, AClientThatGoesAwayBehindItsNextRequestEndsTheFirst) {
  start();
  {
    const HttpClient client(port_);
    client.send(http_request("POST", "/v1/completions", prompt("Mira", 1000000).dump()));
    wait_until_at_work(1);
    client.send(http_request("GET", "/health"));
    EXPECT_EQ(ask(port_, "GET", "/health").status, 200);  // by now that has been seen to lie there
  }
  wait_until_at_work(0);
}

TEST_F(BusyServerTest, TurnsAwayWhatWouldWaitTooLong) {
  start();
  const HttpClient streaming(port_);
  streaming.send(http_request("POST", "/v1/completions", long_stream().dump()));
  EXPECT_THAT(streaming.receive(), HasSubstr("200 OK"));
  // A request that finds a place has room for all of its sequences.
  const HttpClient waiting(port_);
  Json body = long_stream();
  body["n"] = 3;
  waiting.send(http_request("POST", "/v1/completions", body.dump()));
  EXPECT_THAT(waiting.receive(), HasSubstr("200 OK"));
  const HttpReply reply = post("/v1/completions", prompt("Mira", 3));
  EXPECT_EQ(reply.status, 503);
  EXPECT_THAT(reply.head, HasSubstr("Retry-After: 1"));
  EXPECT_THAT(error_of(reply), HasSubstr("busy"));
}

TEST_F(BusyServerTest, StopsInTheMiddleOfAnAnswer) {
  start();
  const HttpClient streaming(port_);
  streaming.send(http_request("POST", "/v1/completions", long_stream().dump()));
  EXPECT_THAT(streaming.receive(), HasSubstr("200 OK"));
  stop();
  streaming.rest();  // ends
}

TEST_F(BusyServerTest, FinishesWhatItCanWhenItIsTold) {
  options_.drain = 60.0;
  start();
  Json body = prompt("Mira", 2000);
  body["stream"] = true;
  const HttpClient streaming(port_);
  streaming.send(http_request("POST", "/v1/completions", body.dump()));
  EXPECT_THAT(streaming.receive(), HasSubstr("200 OK"));
  const HttpClient idle(port_);
  idle.send(http_request("GET", "/health"));
  EXPECT_EQ(idle.reply().status, 200);
  std::raise(SIGTERM);
  while (ask(port_, "GET", "/health").status == 200) continue;
  const HttpReply late = post("/v1/completions", prompt("Mira", 3));
  EXPECT_EQ(late.status, 503);
  EXPECT_THAT(error_of(late), HasSubstr("shutting down"));
  EXPECT_THAT(streaming.rest(), HasSubstr("data: [DONE]"));
  EXPECT_EQ(idle.rest(), "");
  thread_.join();
  server_.reset();
}

TEST_F(BusyServerTest, ASecondSignalEndsItAtOnce) {
  options_.drain = 3600.0;
  start();
  const HttpClient streaming(port_);
  streaming.send(http_request("POST", "/v1/completions", long_stream().dump()));
  EXPECT_THAT(streaming.receive(), HasSubstr("200 OK"));
  std::raise(SIGTERM);
  while (ask(port_, "GET", "/health").status == 200) continue;
  std::raise(SIGINT);
  thread_.join();
  server_.reset();
  const std::string rest = streaming.rest();
  EXPECT_EQ(rest.find("[DONE]"), std::string::npos);
  EXPECT_EQ(rest.find("error"), std::string::npos);
}

TEST_F(BusyServerTest, CutsWhatTakesTooLongWithAWord) {
  options_.drain = 0.05;
  start();
  const HttpClient streaming(port_);
  streaming.send(http_request("POST", "/v1/completions", long_stream().dump()));
  EXPECT_THAT(streaming.receive(), HasSubstr("200 OK"));
  const HttpClient waiting(port_);
  waiting.send(http_request("POST", "/v1/completions", prompt("Mira", 3).dump()));
  while (ask(port_, "GET", "/metrics").body.find("waiting{model=\"tiny\"} 1\n") == std::string::npos)
    continue;
  std::raise(SIGINT);
  const std::string rest = streaming.rest();
  EXPECT_THAT(rest, HasSubstr("data: {\"error\":"));
  EXPECT_EQ(rest.find("[DONE]"), std::string::npos);
  EXPECT_EQ(test::parse_reply(waiting.rest()).status, 503);
  thread_.join();
  server_.reset();
}

TEST_F(BusyServerTest, BoundsWhatARequestMayCost) {
  start();
  Json body = prompt("Mira", 3);
  for (int i = 0; i < 1024; ++i) body[fmt::format("x{}", i)] = 0;
  EXPECT_THAT(error_of(post("/v1/completions", body)), HasSubstr("1028 fields, expected at most 1024"));
  const std::string text(1 << 19, 'a');
  EXPECT_THAT(error_of(post("/tokenize", {{"content", text}, {"with_pieces", true}})),
              HasSubstr("\"with_pieces\" of a text of"));
  int32_t longest = 0;
  const auto bytes = [&](int32_t id) { return tiny_.tokenizer.token_bytes(id).size(); };
  for (int32_t id = 0; id < tiny_.tokenizer.vocab_size(); ++id)
    if (bytes(id) > bytes(longest)) longest = id;
  const std::vector<int32_t> many((8 << 20) / bytes(longest) + 1, longest);
  EXPECT_THAT(error_of(post("/detokenize", {{"tokens", many}})), HasSubstr("more than 8388608 bytes"));
}

}  // namespace
}  // namespace pare
