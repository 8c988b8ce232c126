// What is found where, and who may read it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST_F(ServerTest, FindsPathsAsClientsWriteThem) {
  start();
  const std::string models = ask(port_, "GET", "/v1/models").body;
  for (const char* path : {"/models", "/v1/models/", "//v1//models", "/models?x=/"})
    EXPECT_EQ(ask(port_, "GET", path).body, models) << path;
  EXPECT_EQ(ask(port_, "GET", "/models/%74iny").status, 200);
  EXPECT_EQ(post("/completions", prompt("Mira")).status, 200);
  EXPECT_EQ(ask(port_, "HEAD", "/v1/models").body, "");
  EXPECT_EQ(ask(port_, "GET", "/favicon.ico").status, 204);
  EXPECT_EQ(ask(port_, "GET", "/v1").status, 404);
  options_.version = "1.2.3";
  stop();
  start();
  EXPECT_EQ(ask(port_, "GET", "/version").body, R"({"version":"1.2.3"})");
}

TEST_F(ServerTest, TokenizesAsBothKindsOfClientsAsk) {
  start();
  const std::vector<int32_t> ids = tiny_.tokenizer.encode("Mira and", {true, true});
  const Json vllm = post_json("/tokenize", {{"prompt", "Mira and"}});
  EXPECT_EQ(vllm.at("tokens"), ids);
  EXPECT_EQ(vllm.at("count"), ids.size());
  EXPECT_EQ(vllm.at("max_model_len"), 64);
  const Json llama = post_json("/tokenize", {{"content", "Mira and"}, {"with_pieces", true}});
  const std::vector<int32_t> plain = tiny_.tokenizer.encode("Mira and", {false, true});
  std::string text;
  for (const Json& token : llama.at("tokens")) text += token.at("piece").get<std::string>();
  EXPECT_EQ(text, "Mira and");
  EXPECT_EQ(llama.at("tokens").size(), plain.size());
  const Json back = post_json("/detokenize", {{"tokens", plain}});
  EXPECT_EQ(back.at("content"), "Mira and");
  EXPECT_EQ(back.at("prompt"), "Mira and");
  EXPECT_EQ(post("/tokenize", {{"text", "a"}}).status, 400);
  // Megabytes would keep the other clients waiting.
  EXPECT_EQ(post("/tokenize", {{"content", std::string(4 << 20, 'a')}}).status, 400);
  EXPECT_EQ(post("/detokenize", {{"tokens", {1, 1000000}}}).status, 400);
  EXPECT_EQ(post("/detokenize", {{"tokens", "a"}}).status, 400);
}

TEST_F(ServerTest, CountsWhatItDoes) {
  start();
  post_json("/v1/completions", prompt("Mira", 5));
  post("/v1/completions", {{"prompt", 5}});
  const HttpReply reply = ask(port_, "GET", "/metrics");
  EXPECT_THAT(reply.head, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  for (const char* line :
       {"# TYPE pare_generated_tokens_total counter\n", "\npare_generated_tokens_total{model=\"tiny\"} 5\n",
        "\npare_generated_tokens_total{model=\"mute\"} 0\n", "\npare_sequences_running{model=\"tiny\"} 0\n",
        "\npare_sequences_total{model=\"tiny\",finish_reason=\"length\"} 1\n",
        "\npare_http_requests_total{path=\"/completions\",status=\"200\"} 1\n",
        "\npare_http_requests_total{path=\"/completions\",status=\"400\"} 1\n"})
    EXPECT_THAT(reply.body, HasSubstr(line));
}

TEST_F(ServerTest, PagesOfOtherOriginsReadWhatTheyMay) {
  options_.cors = {"http://localhost:3000"};
  options_.api_key = "secret";
  start();
  const std::string here = "Origin: http://localhost:3000";
  const HttpReply preflight =
      ask(port_, "OPTIONS", "/v1/chat/completions", "",
          {here, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,x-a"});
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.head.find("Content-Length"), std::string::npos);
  EXPECT_THAT(preflight.head, HasSubstr("Access-Control-Allow-Origin: http://localhost:3000\r\n"));
  EXPECT_THAT(preflight.head, HasSubstr("Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"));
  EXPECT_THAT(preflight.head, HasSubstr("Access-Control-Allow-Headers: authorization,x-a\r\n"));
  EXPECT_THAT(preflight.head, HasSubstr("Vary: Origin"));
  const std::string allowed = "Access-Control-Allow-Origin: http://localhost:3000";
  EXPECT_THAT(ask(port_, "GET", "/v1/models", "", {here}).head, HasSubstr(allowed));  // 401
  EXPECT_THAT(ask(port_, "GET", "/nothing", "", {here}).head, HasSubstr(allowed));
  Json body = prompt("Mira");
  body["stream"] = true;
  EXPECT_THAT(ask(port_, "POST", "/v1/completions", body.dump(), {here, "X-API-Key: secret"}).head,
              HasSubstr(allowed));
  const HttpClient large(port_);
  large.send("POST /v1/completions HTTP/1.1\r\n" + here + "\r\nContent-Length: 100000000\r\n\r\n");
  EXPECT_THAT(test::parse_reply(large.rest()).head, HasSubstr(allowed));
  const std::string other = ask(port_, "GET", "/health", "", {"Origin: http://localhost:3001"}).head;
  EXPECT_EQ(other.find("Access-Control"), std::string::npos);
  EXPECT_THAT(other, HasSubstr("Vary: Origin"));
  stop();
  options_.cors = {"*"};
  start();
  EXPECT_THAT(ask(port_, "GET", "/health", "", {here}).head, HasSubstr("Access-Control-Allow-Origin: *"));
  options_.cors = {"localhost:3000/"};
  EXPECT_PARE_ERROR(Server{options_}, ErrorCode::kUsage, "`cors` is \"localhost:3000/\"");
}

}  // namespace
}  // namespace pare
