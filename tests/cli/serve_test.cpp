// pare serve as a program.
#include <signal.h>

#include <chrono>
#include <thread>

#include "cli/processes.h"
#include "support/http_client.h"

namespace pare::test {
namespace {

// Waits for the port that a server says it listens on.
uint16_t port_of(const std::filesystem::path& messages) {
  const std::string mark = "serving on http://127.0.0.1:";
  for (int i = 0; i < 600; ++i) {
    const std::string text = file_contents(messages);
    const size_t found = text.find(mark);
    if (found != std::string::npos && text.find('\n', found) != std::string::npos)
      return static_cast<uint16_t>(std::stoi(text.substr(found + mark.size())));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ADD_FAILURE() << "the server does not begin: " << file_contents(messages);
  return 0;
}

TEST(Serve, AnswersUntilItIsTold) {
  const TempDir folder;
  const std::filesystem::path messages = folder / "messages";
  const pid_t pid = start(
      {PARE_BINARY, "serve", kTinyModel, kTinyModel + "/", "--port", "0", "--dtype", "f32", "--api-key", "k"},
      messages.string());
  const uint16_t port = port_of(messages);
  const std::vector<std::string> key = {"Authorization: Bearer k"};
  while (ask(port, "GET", "/health").status != 200) continue;
  const Json models = parse_json(ask(port, "GET", "/v1/models", "", key).body, "models");
  EXPECT_EQ(models.at("data").at(0).at("id"), "tiny-model");
  EXPECT_EQ(models.at("data").at(1).at("id"), "tiny-model-2");
  const HttpReply reply = ask(port, "POST", "/v1/completions",
                              R"({"prompt": "Mira and", "temperature": 0, "max_tokens": 8})", key);
  const Json generated = pare_json({"generate", kTinyModel, "-p", "Mira and", "-n", "8", "--dtype", "f32"});
  EXPECT_EQ(parse_json(reply.body, "reply").at("choices").at(0).at("text"), generated.at("text"));
  kill(pid, SIGTERM);
  EXPECT_EQ(wait_for(pid), 0);
}

TEST(Serve, FinishesAnAnswerBeforeItEnds) {
  const TempDir folder;
  const std::filesystem::path messages = folder / "messages";
  const pid_t pid =
      start({PARE_BINARY, "serve", kTinyModel, "--port", "0", "--drain", "60"}, messages.string());
  const uint16_t port = port_of(messages);
  while (ask(port, "GET", "/health").status != 200) continue;
  const HttpClient client(port);
  client.send(
      http_request("POST", "/v1/completions",
                   R"({"prompt": "Mira and", "max_tokens": 100, "ignore_eos": true, "stream": true})"));
  client.receive();
  kill(pid, SIGTERM);
  const std::string rest = client.rest();
  EXPECT_NE(rest.find("data: [DONE]"), std::string::npos) << rest;
  EXPECT_EQ(wait_for(pid), 0);
}

TEST(Serve, SamplesAndEndsAsTheModelsFilesSay) {
  const Json generated =
      pare_json({"generate", kTinyModel, "-p", "Mira and", "-n", "8", "--dtype", "f32", "--ignore-eos"});
  const TinyModelCopy model;
  // A top-k of 1 is the only way to the same text at this temperature.
  const Json config = {{"do_sample", true},
                       {"temperature", 50.0},
                       {"top_k", 1},
                       {"eos_token_id", {2, generated.at("tokens").at(5)}}};
  model.write("generation_config.json", config.dump());
  const TempDir folder;
  const std::filesystem::path messages = folder / "messages";
  const pid_t pid =
      start({PARE_BINARY, "serve", model.path(), "--port", "0", "--dtype", "f32"}, messages.string());
  const uint16_t port = port_of(messages);
  while (ask(port, "GET", "/health").status != 200) continue;
  const auto choice_of = [&](const std::string& more) {
    const HttpReply reply =
        ask(port, "POST", "/v1/completions", R"({"prompt": "Mira and", "max_tokens": 8)" + more + "}");
    EXPECT_EQ(reply.status, 200) << reply.body;
    return parse_json(reply.body, "reply");
  };
  const Json whole = choice_of(R"(, "ignore_eos": true)");
  EXPECT_EQ(whole.at("choices").at(0).at("text"), generated.at("text"));
  const Json ended = choice_of("");
  EXPECT_EQ(ended.at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_LE(ended.at("usage").at("completion_tokens"), 6);
  EXPECT_NE(choice_of(R"(, "ignore_eos": true, "top_k": 0)").at("choices").at(0).at("text"),
            generated.at("text"));
  kill(pid, SIGTERM);
  EXPECT_EQ(wait_for(pid), 0);
}

TEST(Serve, RefusesKeysAndValuesThatMemoryCannotHold) {
  const TinyModelCopy model;
  Json config = parse_json(model.read("config.json"), "config");
  config["max_position_embeddings"] = 1 << 22;  // of 1 KB a token and sequence
  model.write("config.json", config.dump());
  expect_failure(
      {"serve", model.path(), "--port", "0", "--parallel", "1024", "--context", "4194304", "--quiet"}, 1,
      "lower --parallel or --context");
}

TEST(Serve, SaysWhyItCannotBegin) {
  expect_failure({"serve", kTinyModel, "--port", "0", "--cors", "localhost"}, 2, "--cors is \"localhost\"");
  expect_failure({"serve", kTinyModel, "--port", "0", "--drain", "-1"}, 2, "--drain is -1");
  expect_failure({"serve", kTinyModel, "--port", "0", "--api-key", ""}, 2, "given, but empty");
  expect_failure({"serve", kTinyModel, "--port", "0", "--api-key", "a\n"}, 2, "not printable ASCII");
  expect_failure({"serve", "/nowhere", "--port", "0", "--quiet"}, 1, "/nowhere");
  expect_failure({"serve", kTinyModel, "--port", "0", "--host", "256.0.0.1", "--quiet"}, 1,
                 "cannot listen on 256.0.0.1:0");
  expect_failure({"serve", kTinyModel, "--port", "70000"}, 2, "--port");
  expect_failure({"serve", kTinyModel, "--parallel", "0"}, 2, "--parallel");
  expect_failure({"serve", kTinyModel, "--port", "0", "--chat-template", "none", "--quiet"}, 2, "none");
}

}  // namespace
}  // namespace pare::test
