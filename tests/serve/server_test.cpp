#include "serve/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

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

TEST_F(ServerTest, SaysWhatItServes) {
  start();
  EXPECT_EQ(server_->url(), fmt::format("http://127.0.0.1:{}", port_));
  EXPECT_EQ(ask(port_, "GET", "/health").body, R"({"status":"ok"})");
  const Json models = parse_json(ask(port_, "GET", "/v1/models?x=1").body, "models");
  EXPECT_EQ(models.at("data").at(0).at("id"), "tiny");
  EXPECT_EQ(models.at("data").at(0).at("parameters"), 1000);
  EXPECT_EQ(models.at("data").at(0).at("bytes_per_token"), tiny_.packed.bytes_per_token());
  EXPECT_EQ(models.at("data").at(1).at("id"), "mute");
  EXPECT_EQ(models.at("data").at(1).at("chat"), false);
  // What is served, not what the model could.
  EXPECT_EQ(models.at("data").at(0).at("max_model_len"), 64);
  EXPECT_EQ(parse_json(ask(port_, "GET", "/v1/models/mute").body, "model"), models.at("data").at(1));
  const HttpReply page = ask(port_, "GET", "/");
  EXPECT_THAT(page.head, HasSubstr("Content-Type: text/html"));
  EXPECT_THAT(page.body, HasSubstr("v1/models"));
  const HttpReply head = ask(port_, "HEAD", "/");
  EXPECT_EQ(head.status, 200);
  EXPECT_THAT(head.head, HasSubstr(fmt::format("Content-Length: {}", page.body.size())));
  EXPECT_EQ(head.body, "");
}

TEST_F(ServerTest, CompletesAsTheGeneratorDoes) {
  start();
  const Json reply = post_json("/v1/completions", prompt("Mira and the tide"));
  GenerateOptions options;
  options.max_tokens = 12;
  options.ignore_eos = true;
  const std::vector<int32_t> ids = tiny_.tokenizer.encode("Mira and the tide", {true, true});
  EXPECT_EQ(reply.at("choices").at(0).at("text"), expected_text(ids, options));
  EXPECT_EQ(reply.at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(reply.at("object"), "text_completion");
  EXPECT_EQ(reply.at("model"), "tiny");
  EXPECT_EQ(reply.at("usage").at("prompt_tokens"), ids.size());
  EXPECT_EQ(reply.at("usage").at("completion_tokens"), 12);
  EXPECT_EQ(reply.at("usage").at("total_tokens"), ids.size() + 12);
  // The second time, the prompt has been worked on.
  const Json again = post_json("/v1/completions", prompt("Mira and the tide"));
  EXPECT_EQ(again.at("choices"), reply.at("choices"));
  EXPECT_EQ(again.at("usage").at("prompt_tokens_details").at("cached_tokens"), ids.size() - 1);
  EXPECT_NE(again.at("id"), reply.at("id"));
}

TEST_F(ServerTest, StreamsWhatItWouldAnswer) {
  start();
  Json body = prompt("Mira and the tide");
  const Json whole = post_json("/v1/completions", body);
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  const HttpReply reply = post("/v1/completions", body);
  EXPECT_THAT(reply.head, HasSubstr("Content-Type: text/event-stream"));
  const std::vector<std::string> data = test::sse_data(reply.body);
  ASSERT_GE(data.size(), 4u);
  EXPECT_EQ(data.back(), "[DONE]");
  const Json usage = parse_json(data[data.size() - 2], "usage");
  EXPECT_EQ(usage.at("choices").size(), 0u);
  EXPECT_EQ(usage.at("usage").at("completion_tokens"), 12);
  std::string text;
  for (size_t i = 0; i + 2 < data.size(); ++i) {
    const Json event = parse_json(data[i], "event");
    const Json& choice = event.at("choices").at(0);
    text += choice.at("text").get<std::string>();
    EXPECT_EQ(choice.at("finish_reason").is_null(), i + 3 < data.size());
  }
  EXPECT_EQ(text, whole.at("choices").at(0).at("text"));
}

TEST_F(ServerTest, ChatsAsTheSessionDoes) {
  start();
  Json body = {{"messages", Json::array({{{"role", "user"}, {"content", "Mira and the tide"}}})},
               {"max_tokens", 8},
               {"temperature", 0}};
  const Json whole = post_json("/v1/chat/completions", body);
  ChatOptions options;
  options.generate.max_tokens = 8;
  options.context = 64;
  ChatSession session(tiny_.packed, tiny_.tokenizer, tiny_.format, options);
  const ChatTurn turn = session.say("Mira and the tide", [](std::string_view) { return true; });
  const Json& choice = whole.at("choices").at(0);
  EXPECT_EQ(choice.at("message").at("role"), "assistant");
  EXPECT_EQ(choice.at("message").at("content"), turn.answer);
  body["stream"] = true;
  const std::vector<std::string> data = test::sse_data(post("/v1/chat/completions", body).body);
  std::string text;
  for (size_t i = 0; i + 1 < data.size(); ++i) {
    const Json event = parse_json(data[i], "event");
    EXPECT_EQ(event.at("object"), "chat.completion.chunk");
    const Json& delta = event.at("choices").at(0).at("delta");
    EXPECT_EQ(delta.contains("role"), i == 0);
    text += delta.value("content", "");
  }
  EXPECT_EQ(text, turn.answer);
}

TEST_F(ServerTest, ManyAtOnceGetWhatEachWouldGetAlone) {
  start();
  const std::vector<std::string> prompts = {"Mira", "the tide", "and", "a", "Mira and", "of the", "b"};
  std::vector<Json> alone;
  for (const std::string& text : prompts) alone.push_back(post_json("/v1/completions", prompt(text, 30)));
  std::vector<Json> together(prompts.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < prompts.size(); ++i)
    threads.emplace_back([&, i] { together[i] = post_json("/v1/completions", prompt(prompts[i], 30)); });
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < prompts.size(); ++i) EXPECT_EQ(together[i].at("choices"), alone[i].at("choices"));
  // And as the choices of one request, where the first text keeps its index.
  Json body = prompt("", 30);
  body["prompt"] = prompts;
  const Json batch = post_json("/v1/completions", body);
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(batch.at("choices").at(i).at("index"), i);
    EXPECT_EQ(batch.at("choices").at(i).at("text"), alone[i].at("choices").at(0).at("text"));
  }
}

TEST_F(ServerTest, AnswersSeveralRequestsOnOneConnection) {
  start();
  const HttpClient client(port_);
  const std::string body = prompt("Mira").dump();
  client.send(http_request("POST", "/v1/completions", body));
  const HttpReply first = client.reply();
  EXPECT_EQ(first.status, 200);
  client.send(http_request("GET", "/health"));
  EXPECT_EQ(client.reply().status, 200);
  client.send(http_request("GET", "/nothing"));
  EXPECT_EQ(client.reply().status, 404);
  // The second one before the first is answered.
  client.send(http_request("POST", "/v1/completions", body) +
              http_request("GET", "/health", "", {"Connection: close"}));
  const std::string rest = client.rest();
  EXPECT_THAT(rest, HasSubstr("text_completion"));
  EXPECT_THAT(rest, testing::EndsWith(R"({"status":"ok"})"));
}

TEST_F(ServerTest, StreamsToAClientOfHttp10WithoutChunks) {
  start();
  Json body = prompt("Mira");
  body["stream"] = true;
  const std::string text = body.dump();
  const HttpClient client(port_);
  client.send(
      fmt::format("POST /v1/completions HTTP/1.0\r\nContent-Length: {}\r\n\r\n{}", text.size(), text));
  const HttpReply reply = test::parse_reply(client.rest());
  EXPECT_EQ(reply.head.find("chunked"), std::string::npos);
  EXPECT_EQ(test::sse_data(reply.body).back(), "[DONE]");
}

TEST_F(ServerTest, SaysGoOnToAClientThatAsks) {
  start();
  const HttpClient client(port_);
  const std::string body = prompt("Mira").dump();
  const std::string request =
      http_request("POST", "/v1/completions", body, {"Expect: 100-continue", "Connection: close"});
  client.send(request.substr(0, request.size() - body.size()));
  EXPECT_EQ(client.receive(), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send(body);
  EXPECT_EQ(test::parse_reply(client.rest()).status, 200);
}

TEST_F(ServerTest, RefusesWhatIsNoRequest) {
  start();
  EXPECT_EQ(ask(port_, "GET", "/v2/models").status, 404);
  const HttpReply method = ask(port_, "GET", "/v1/completions");
  EXPECT_EQ(method.status, 405);
  EXPECT_THAT(method.head, HasSubstr("Allow: POST"));
  EXPECT_EQ(ask(port_, "DELETE", "/").status, 405);
  const HttpReply json = ask(port_, "POST", "/v1/completions", "{\"prompt\":");
  EXPECT_EQ(json.status, 400);
  EXPECT_THAT(error_of(json), HasSubstr("not valid JSON"));
  EXPECT_EQ(error_of(json).find("exception"), std::string::npos);
  const HttpReply gone = post("/v1/completions", {{"prompt", "a"}, {"model", "gone"}});
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(code_of(gone), "model_not_found");
  EXPECT_EQ(code_of(ask(port_, "GET", "/v1/models/gone")), "model_not_found");
  std::string longest;
  for (int i = 0; i < 100; ++i) longest += " and the tide";
  const HttpReply full = post("/v1/completions", {{"prompt", longest}});
  EXPECT_EQ(full.status, 400);
  EXPECT_EQ(code_of(full), "context_length_exceeded");
  // What cannot fit whatever its tokens are is not even encoded.
  const std::string huge(2'000'000, ' ');
  const HttpReply prompt = post("/v1/completions", {{"prompt", huge}});
  EXPECT_EQ(code_of(prompt), "context_length_exceeded");
  EXPECT_THAT(error_of(prompt), HasSubstr("2000000 bytes"));
  EXPECT_THAT(error_of(full),
              HasSubstr("This model's maximum context length is 64 tokens. However, your prompt"));
  EXPECT_EQ(post("/v1/completions", {{"prompt", "a"}, {"n", 0}}).status, 400);
  EXPECT_EQ(post("/v1/chat/completions", {{"model", "mute"}, {"messages", Json::array()}}).status, 400);
  for (const char* garbage : {"\r\n\r\n\r\n", "hello\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /\r\n\r\n",
                              "POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                              "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    SCOPED_TRACE(garbage);
    const HttpClient client(port_);
    client.send(garbage);
    EXPECT_EQ(test::parse_reply(client.rest()).status, 400);
  }
  const HttpClient long_header(port_);
  long_header.send(http_request("GET", "/", "", {"X: " + std::string(20000, 'x')}));
  EXPECT_EQ(test::parse_reply(long_header.rest()).status, 431);
  const HttpClient long_body(port_);
  long_body.send("POST /v1/completions HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n");
  EXPECT_EQ(test::parse_reply(long_body.rest()).status, 413);
  { const HttpClient silent(port_); }
  { HttpClient(port_).send("POST /v1/completions HTTP/1.1\r\nContent-Length: 50\r\n\r\n{"); }
  EXPECT_EQ(ask(port_, "GET", "/health").status, 200);
}

TEST_F(ServerTest, WantsItsKey) {
  options_.api_key = "secret";
  start();
  EXPECT_EQ(ask(port_, "GET", "/v1/models").status, 401);
  EXPECT_EQ(ask(port_, "GET", "/v1/models", "", {"Authorization: Bearer secre"}).status, 401);
  EXPECT_EQ(ask(port_, "GET", "/v1/models", "", {"Authorization: Bearer secretsecret"}).status, 401);
  EXPECT_EQ(ask(port_, "GET", "/v1/models", "", {"Authorization: secret"}).status, 401);
  EXPECT_EQ(ask(port_, "GET", "/v1/models", "", {"Authorization: Bearer secret"}).status, 200);
  EXPECT_EQ(ask(port_, "GET", "/v1/models", "", {"Authorization: bEARER secret"}).status, 200);
  EXPECT_EQ(ask(port_, "GET", "/v1/models", "", {"X-API-Key: secret"}).status, 200);
  EXPECT_EQ(ask(port_, "GET", "/v1/models", "", {"X-API-Key: secre"}).status, 401);
  EXPECT_EQ(ask(port_, "GET", "/models").status, 401);
  EXPECT_EQ(ask(port_, "GET", "/metrics").status, 401);
  EXPECT_EQ(ask(port_, "OPTIONS", "/v1/models").status, 204);
  EXPECT_EQ(ask(port_, "GET", "/health").status, 200);
  EXPECT_EQ(ask(port_, "GET", "/").status, 200);
}

TEST_F(ServerTest, RefusesAnAddressItCannotHave) {
  start();
  ServeOptions taken = options_;
  taken.port = port_;
  EXPECT_PARE_ERROR(Server{taken}, ErrorCode::kIo, "Address already in use");
  taken.host = "not a name";
  EXPECT_PARE_ERROR(Server{taken}, ErrorCode::kIo, "cannot listen on not a name");
  taken = options_;
  taken.limits.queue = 0;
  EXPECT_PARE_ERROR(Server{taken}, ErrorCode::kUsage, "`queue` is 0");
}

}  // namespace
}  // namespace pare
