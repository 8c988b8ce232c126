#include "serve/session.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <ctime>
#include <new>

#include "base/log.h"
#include "serve/api_reply.h"
#include "serve/api_request.h"
#include "serve/connection.h"
#include "serve/page.h"

namespace pare {

namespace net = boost::asio;
namespace http = boost::beast::http;

namespace {

constexpr std::string_view kJson = "application/json";

// Takes as long for a wrong key as for the right one.
bool same_secret(std::string_view got, std::string_view expected) {
  unsigned difference = got.size() == expected.size() ? 0 : 1;
  for (size_t i = 0; i < got.size(); ++i)
    difference |=
        static_cast<unsigned char>(got[i]) ^ static_cast<unsigned char>(expected[i % expected.size()]);
  return difference == 0;
}

std::string_view view_of(boost::core::string_view text) { return {text.data(), text.size()}; }

HttpAnswer json_answer(const Json& json) { return {200, kJson, json_text(json)}; }
HttpAnswer error_answer(int status, std::string_view message, std::string field = {},
                        std::string value = {}) {
  return {status, kJson, json_text(error_json(status, message)), std::move(field), std::move(value)};
}

struct Route {
  std::string_view path;
  http::verb method;
  enum class Action { kPage, kHealth, kModels, kCompletion, kChat } action;
};
constexpr Route kRoutes[] = {
    {"/", http::verb::get, Route::Action::kPage},
    {"/health", http::verb::get, Route::Action::kHealth},
    {"/v1/models", http::verb::get, Route::Action::kModels},
    {"/v1/completions", http::verb::post, Route::Action::kCompletion},
    {"/v1/chat/completions", http::verb::post, Route::Action::kChat},
};

}  // namespace

class Session final : public Connection {
 public:
  Session(net::ip::tcp::socket socket, SharedState& state) : Connection(std::move(socket)), state_(state) {}

 private:
  // A request that the engine is at work on.
  struct Running {
    Running(const ApiRequest& request, const std::string& model, const std::string& id)
        : reply(request, model, id, std::time(nullptr)),
          model_id(model),
          stream(request.stream),
          include_usage(request.include_usage) {}

    ApiReply reply;
    std::string model_id;
    bool stream;
    bool include_usage;
    std::shared_ptr<std::atomic<bool>> wanted = std::make_shared<std::atomic<bool>>(true);
  };

  void on_request() override;
  void on_bad_request(int status, const std::string& message) override {
    answer(error_answer(status, message));
  }
  void on_close() override {
    if (running_) *running_->wanted = false;
    running_.reset();
    state_.sessions.erase(shared_from_this());
  }

  bool authorized() const;
  void generate(ApiKind kind);
  BatchRequest batch_request(size_t index, ApiChoice choice, bool begins_answer);
  template <typename Handler>
  auto on_server_thread(Handler handler);
  void on_text(size_t choice, const std::string& text);
  void on_end(size_t choice, const Generation& generation);
  void on_failure(const Error& error);
  void finish();

  SharedState& state_;
  std::unique_ptr<Running> running_;
};

bool Session::authorized() const {
  constexpr std::string_view kBearer = "Bearer ";
  const std::string_view header = view_of(request()[http::field::authorization]);
  return header.starts_with(kBearer) && same_secret(header.substr(kBearer.size()), state_.api_key);
}

void Session::on_request() {
  const std::string_view target = view_of(request().target());
  const std::string_view path = target.substr(0, target.find('?'));
  const auto* found =
      std::find_if(std::begin(kRoutes), std::end(kRoutes), [&](const Route& r) { return r.path == path; });
  if (found == std::end(kRoutes))
    return answer(error_answer(404, "there is nothing here: pare serves / and /v1/"));
  const bool reads = found->method == http::verb::get;
  if (request().method() != found->method && !(reads && request().method() == http::verb::head)) {
    const char* allowed = reads ? "GET, HEAD" : "POST";
    return answer(error_answer(405, fmt::format("{} answers {}", path, allowed), "Allow", allowed));
  }
  if (path.starts_with("/v1/") && !state_.api_key.empty() && !authorized())
    return answer(error_answer(401, "the request does not bear the API key of this server",
                               "WWW-Authenticate", "Bearer"));
  switch (found->action) {
    case Route::Action::kPage:
      return answer({200, "text/html; charset=utf-8", std::string(compare_page())});
    case Route::Action::kHealth:
      return answer(json_answer({{"status", "ok"}}));
    case Route::Action::kModels:
      return answer(json_answer(models_json(state_.models, state_.started)));
    case Route::Action::kCompletion:
      return generate(ApiKind::kCompletion);
    case Route::Action::kChat:
      return generate(ApiKind::kChat);
  }
}

void Session::generate(ApiKind kind) {
  ApiRequest asked;
  try {
    asked = read_api_request(kind, request().body(), state_.models, state_.context);
  } catch (const Error& error) {
    return answer(error_answer(http_status(error.code()), error.what()));
  } catch (const std::bad_alloc&) {
    return answer(error_answer(500, "out of memory"));
  }
  running_ = std::make_unique<Running>(asked, state_.models[asked.model].id,
                                       fmt::format("{}{:06}", state_.id_prefix, ++state_.answers));
  std::vector<BatchRequest> batch;
  for (size_t i = 0; i < asked.choices.size(); ++i)
    batch.push_back(
        batch_request(i, std::move(asked.choices[i]), kind == ApiKind::kChat && !asked.continues));
  if (!state_.engine->submit(asked.model, std::move(batch))) {
    running_.reset();
    return answer(error_answer(503, "the server is busy: too many requests are waiting", "Retry-After", "1"));
  }
  wait_for_answer();
  if (!running_->stream) return;
  begin_stream();
  for (size_t i = 0; i < running_->reply.choices(); ++i) send(running_->reply.begin_event(i));
}

// What the engine calls on its own thread goes on here, unless the connection or the request is gone by then.
template <typename Handler>
auto Session::on_server_thread(Handler handler) {
  return [weak = weak_from_this(), executor = executor(), serial = serial(),
          handler = std::move(handler)](auto... arguments) {
    net::post(executor, [=] {
      const auto session = std::static_pointer_cast<Session>(weak.lock());
      if (session && session->running_ && session->serial() == serial) handler(*session, arguments...);
    });
  };
}

BatchRequest Session::batch_request(size_t index, ApiChoice choice, bool begins_answer) {
  const auto on_text =
      on_server_thread([index](Session& session, const std::string& text) { session.on_text(index, text); });
  TextSink sink = [on_text](std::string_view text) {
    on_text(std::string(text));
    return true;
  };
  BatchRequest request = {.prompt = std::move(choice.prompt),
                          .options = std::move(choice.options),
                          .sink = begins_answer ? answer_sink(std::move(sink)) : std::move(sink),
                          .wanted = [wanted = running_->wanted] { return wanted->load(); },
                          .done = {},
                          .failed = {}};
  request.done = on_server_thread(
      [index](Session& session, const Generation& generation) { session.on_end(index, generation); });
  request.failed = on_server_thread([](Session& session, const Error& error) { session.on_failure(error); });
  return request;
}

void Session::on_text(size_t choice, const std::string& text) {
  if (running_->stream)
    send(running_->reply.text_event(choice, text));
  else
    running_->reply.add_text(choice, text);
}

void Session::on_end(size_t choice, const Generation& generation) {
  ApiReply& reply = running_->reply;
  reply.end(choice, generation);
  if (running_->stream) send(reply.end_event(choice));
  if (reply.complete()) finish();
}

void Session::finish() {
  const std::unique_ptr<Running> running = std::move(running_);
  const ApiReply& reply = running->reply;
  log_info("{}: {} prompt tokens, {} new ones", running->model_id, reply.prompt_tokens(),
           reply.completion_tokens());
  if (!running->stream) return answer(json_answer(reply.whole()));
  if (running->include_usage) send(reply.usage_event());
  send(sse_event("[DONE]"));
  end_stream(true);
}

void Session::on_failure(const Error& error) {
  const std::unique_ptr<Running> running = std::move(running_);
  *running->wanted = false;  // the other choices
  const int status = http_status(error.code());
  log_warning("{}: {}", running->model_id, error.what());
  if (!running->stream) return answer(error_answer(status, error.what()));
  send(sse_event(json_text(error_json(status, error.what()))));
  end_stream(false);
}

void start_session(net::ip::tcp::socket socket, SharedState& state) {
  const auto session = std::make_shared<Session>(std::move(socket), state);
  state.sessions.insert(session);
  session->start();
}

void close_sessions(SharedState& state) {
  while (!state.sessions.empty()) {
    const std::shared_ptr<Connection> session = *state.sessions.begin();
    session->close();
  }
}

}  // namespace pare
