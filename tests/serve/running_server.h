// A server of the tiny model that runs while a test asks it.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "serve/served_tiny.h"
#include "serve/server.h"
#include "support/http_client.h"

namespace pare::test {

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    options_.port = 0;
    options_.limits = {.parallel = 2, .context = 64, .queue = 8};
  }
  ~ServerTest() override { stop(); }

  void start() {
    start([this] { return tiny_.models(); });
    wait_until_ready();
  }
  void start(const std::function<std::vector<ServedModel>()>& load) {
    server_ = std::make_unique<Server>(options_);
    port_ = server_->port();
    thread_ = std::thread([this, load] { server_->run(load); });
  }
  void wait_until_ready() const {
    while (ask(port_, "GET", "/health").status != 200)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  void wait_until_at_work(int requests) const {
    const std::string line = fmt::format("\npare_requests_at_work {}\n", requests);
    while (ask(port_, "GET", "/metrics").body.find(line) == std::string::npos)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  void stop() {
    if (!server_) return;
    server_->stop();
    thread_.join();
    server_.reset();
  }
  HttpReply post(const std::string& target, const Json& body) const {
    return ask(port_, "POST", target, body.dump(), {"Content-Type: application/json"});
  }
  Json post_json(const std::string& target, const Json& body) const {
    const HttpReply reply = post(target, body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return parse_json(reply.body, "reply");
  }
  static std::string error_of(const HttpReply& reply) {
    return parse_json(reply.body, "reply").at("error").at("message").get<std::string>();
  }
  static Json code_of(const HttpReply& reply) {
    return parse_json(reply.body, "reply").at("error").at("code");
  }
  std::string expected_text(const std::vector<int32_t>& ids, GenerateOptions options) const {
    std::string text;
    Generator(tiny_.packed, tiny_.tokenizer).generate(ids, options, [&](std::string_view piece) {
      text += piece;
      return true;
    });
    return text;
  }

  ServedTiny tiny_;
  ServeOptions options_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
  uint16_t port_ = 0;
};

inline Json prompt(const std::string& text, int64_t tokens = 12) {
  return {{"prompt", text}, {"max_tokens", tokens}, {"temperature", 0}, {"ignore_eos", true}};
}

}  // namespace pare::test
