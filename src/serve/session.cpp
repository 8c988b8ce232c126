#include "serve/session.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/beast/core/string.hpp>
#include <ctime>
#include <future>
#include <new>

#include "base/log.h"
#include "serve/api_reply.h"
#include "serve/api_request.h"
#include "serve/api_tokenize.h"
#include "serve/connection.h"
#include "serve/page.h"
#include "serve/routes.h"

namespace pare {

namespace net = boost::asio;
namespace http = boost::beast::http;

namespace {

constexpr std::string_view kJson = "application/json";

// Compares keys in a time that does not depend on how many characters are right.
bool same_secret(std::string_view got, std::string_view expected) {
  unsigned difference = got.size() == expected.size() ? 0 : 1;
  for (size_t i = 0; i < got.size(); ++i)
    difference |=
        static_cast<unsigned char>(got[i]) ^ static_cast<unsigned char>(expected[i % expected.size()]);
  return difference == 0;
}

std::string_view view_of(boost::core::string_view text) { return {text.data(), text.size()}; }

constexpr std::string_view kElsewhere = "other";

const char* allowed_methods(const Route& route) {
  return route.method == http::verb::get ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
}

bool needs_models(const Route& route) {
  switch (route.action) {
    case Action::kPage:
    case Action::kIcon:
    case Action::kHealth:
    case Action::kVersion:
    case Action::kMetrics:
      return false;
    default:
      return true;
  }
}

HttpAnswer json_answer(const Json& json) { return {200, kJson, json_text(json)}; }
HttpAnswer error_answer(int status, std::string_view message, HttpFields fields = {}) {
  return {status, kJson, json_text(error_json(status, message)), std::move(fields)};
}
HttpAnswer error_answer(const Error& error) {
  return {http_status(error.code()), kJson, json_text(error_json(error))};
}

// Answer that says why no model answers now.
HttpAnswer unavailable(ServerState state) {
  return state == ServerState::kLoading
             ? error_answer(503, "loading: the server's models are not ready yet", {{"Retry-After", "2"}})
             : error_answer(503, "the server is shutting down", {{"Retry-After", "10"}});
}

}  // namespace

class Session final : public Connection {
 public:
  Session(net::ip::tcp::socket socket, SharedState& state) : Connection(std::move(socket)), state_(state) {}

  // Ends all generations of the session with an error.
  void cut();

 private:
  // A request that is not answered yet.
  struct AtWork {
    explicit AtWork(SharedState& shared) : state(shared) { ++state.at_work; }
    ~AtWork() {
      --state.at_work;
      state.changed();
    }
    AtWork(const AtWork&) = delete;
    AtWork& operator=(const AtWork&) = delete;

    SharedState& state;
  };
  // Work that a job on another thread leaves to the server's thread.
  using Rest = std::function<void(Session&)>;

  // A request that the model thread is at work on.
  struct Running {
    Running(SharedState& shared, const ApiRequest& request, const std::string& id)
        : at_work(shared),
          model(request.model),
          reply(request, shared.models[model], id, std::time(nullptr)),
          stream(request.stream),
          include_usage(request.include_usage) {
      for (const ApiChoice& choice : request.choices)
        prompts.push_back(static_cast<int64_t>(choice.prompt.size()));
    }

    AtWork at_work;
    size_t model;
    ApiReply reply;
    bool stream;
    bool include_usage;
    std::vector<int64_t> prompts;  // tokens, by choice
    std::shared_ptr<std::atomic<bool>> wanted = std::make_shared<std::atomic<bool>>(true);
  };

  void on_request() override;
  void on_bad_request(int status, const std::string& message) override {
    place_ = kElsewhere;
    say(error_answer(status, message));
  }
  void on_close() override {
    working_.reset();
    if (running_) *running_->wanted = false;
    running_.reset();
    state_.sessions.erase(std::static_pointer_cast<Session>(shared_from_this()));
    state_.changed();
  }
  HttpFields common_fields() const override {
    return state_.cors.fields(view_of(request()[http::field::origin]));
  }

  // Calls answer() and counts it.
  void say(HttpAnswer answer);
  bool authorized() const;
  // Runs `act` and answers errors that it throws.
  template <typename Act>
  void guarded(const Act& act);
  // Runs `job` on a thread of `threads` and its result here, unless the request is answered or the
  // connection gone by then. The job sees nothing of the session.
  void work(net::thread_pool& threads, std::function<Rest()> job);
  static Rest saying(HttpAnswer answer);
  void go(const Found& found);
  HttpAnswer health() const;
  HttpAnswer options_answer(const Route& route) const;
  void generate(ApiRequest asked);
  BatchRequest batch_request(size_t index, ApiChoice choice, bool begins_answer);
  template <typename Handler>
  auto on_server_thread(Handler handler);
  void on_text(size_t choice, const std::string& text);
  void on_scores(size_t choice, std::vector<ScoredToken> tokens, const std::string& echo);
  void on_end(size_t choice, const Generation& generation);
  void on_failure(const Error& error);
  void finish();
  void break_off(HttpAnswer error);

  SharedState& state_;
  std::string_view place_ = kElsewhere;  // place of the request in metrics
  std::shared_ptr<AtWork> working_;      // set while a thread of a pool has the request
  std::unique_ptr<Running> running_;     // set while the model thread has the request
};

void Session::say(HttpAnswer answer) {
  state_.metrics.count_answer(place_, answer.status);
  Connection::answer(std::move(answer));
}

bool Session::authorized() const {
  constexpr std::string_view kBearer = "bearer ";
  const std::string_view header = view_of(request()[http::field::authorization]);
  const bool bears = header.size() >= kBearer.size() &&
                     boost::beast::iequals(request()[http::field::authorization].substr(0, kBearer.size()),
                                           boost::beast::string_view(kBearer.data(), kBearer.size()));
  return (bears && same_secret(header.substr(kBearer.size()), state_.api_key)) ||
         same_secret(view_of(request()["X-API-Key"]), state_.api_key);
}

void Session::on_request() {
  const Found found = find_route(view_of(request().target()));
  place_ = found.route == nullptr ? kElsewhere : found.route->path;
  if (found.route == nullptr)
    return say(error_answer(404,
                            "there is nothing here: pare serves /, /health, /metrics, /version, "
                            "/tokenize, /detokenize and, with or without /v1 before them, /models, "
                            "/completions and /chat/completions"));
  const Route& route = *found.route;
  if (request().method() == http::verb::options) return say(options_answer(route));
  const bool reads = route.method == http::verb::get;
  if (request().method() != route.method && !(reads && request().method() == http::verb::head))
    return say(error_answer(405, fmt::format("{} answers {}", route.path, allowed_methods(route)),
                            {{"Allow", allowed_methods(route)}}));
  if (!route.open && !state_.api_key.empty() && !authorized())
    return say(error_answer(401, "the request does not bear the API key of this server",
                            {{"WWW-Authenticate", "Bearer"}}));
  if (needs_models(route) && state_.state != ServerState::kReady) return say(unavailable(state_.state));
  guarded([&] { go(found); });
}

template <typename Act>
void Session::guarded(const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    say(error_answer(error));
  } catch (const std::bad_alloc&) {
    say(error_answer(500, "out of memory"));
  }
}

void Session::work(net::thread_pool& threads, std::function<Rest()> job) {
  working_ = std::make_shared<AtWork>(state_);
  wait_for_answer();
  const auto task = std::make_shared<std::packaged_task<Rest()>>(std::move(job));
  const std::weak_ptr<AtWork> wanted = working_;
  net::post(threads, [task, wanted, weak = weak_from_this(), executor = executor()] {
    if (wanted.expired()) return;
    (*task)();
    net::post(executor, [task, wanted, weak] {
      const auto session = std::static_pointer_cast<Session>(weak.lock());
      const std::shared_ptr<AtWork> still = wanted.lock();
      if (!session || !still) return;
      session->working_.reset();
      session->guarded([&] { task->get_future().get()(*session); });
    });
  });
}

Session::Rest Session::saying(HttpAnswer answer) {
  return [answer = std::move(answer)](Session& session) mutable { session.say(std::move(answer)); };
}

// Hands requests with a body to a reader; answers the others at once.
void Session::go(const Found& found) {
  switch (found.route->action) {
    case Action::kPage:
      return say({200, "text/html; charset=utf-8", std::string(compare_page())});
    case Action::kIcon:
      return say({204, "", "", {{"Cache-Control", "max-age=86400"}}});
    case Action::kHealth:
      return say(health());
    case Action::kVersion:
      return say(json_answer({{"version", state_.version}}));
    case Action::kMetrics:
      return say({200, "text/plain; version=0.0.4; charset=utf-8",
                  state_.metrics.text(
                      state_.models,
                      state_.model_thread != nullptr ? state_.model_thread->load() : std::vector<ModelLoad>(),
                      state_.at_work)});
    case Action::kModels:
      return say(json_answer(models_json(state_.models, state_.started, state_.context)));
    case Action::kModel:
      return say(json_answer(
          model_json(state_.models[find_model(found.rest, state_.models)], state_.started, state_.context)));
    case Action::kTokenize:
      return work(state_.readers, [body = take_body(), &state = state_] {
        return saying(json_answer(tokenize_json(body, state.models, state.context)));
      });
    case Action::kDetokenize:
      return work(state_.readers, [body = take_body(), &state = state_] {
        return saying(json_answer(detokenize_json(body, state.models)));
      });
    case Action::kCompletion:
    case Action::kChat:
      break;
  }
  const ApiKind kind = found.route->action == Action::kChat ? ApiKind::kChat : ApiKind::kCompletion;
  work(state_.readers, [kind, body = take_body(), &state = state_]() -> Rest {
    return [asked = read_api_request(kind, body, state.models, state.context)](Session& session) mutable {
      session.generate(std::move(asked));
    };
  });
}

HttpAnswer Session::health() const {
  switch (state_.state) {
    case ServerState::kLoading:
      return {503, kJson, R"({"status":"loading"})", {{"Retry-After", "2"}}};
    case ServerState::kReady:
      return json_answer({{"status", "ok"}});
    case ServerState::kDraining:
      break;
  }
  return {503, kJson, R"({"status":"shutting down"})"};
}

// Answers a browser that asks before it sends a request of another origin.
HttpAnswer Session::options_answer(const Route& route) const {
  HttpFields fields = state_.cors.preflight_fields(view_of(request()[http::field::origin]),
                                                   view_of(request()["Access-Control-Request-Headers"]));
  fields.emplace_back("Allow", allowed_methods(route));
  return {204, "", "", std::move(fields)};
}

void Session::generate(ApiRequest asked) {
  running_ =
      std::make_unique<Running>(state_, asked, fmt::format("{}{:06}", state_.id_prefix, ++state_.answers));
  std::vector<std::string> echoes;  // echoed prompts that need not wait for scores
  std::vector<BatchRequest> batch;
  for (size_t i = 0; i < asked.choices.size(); ++i) {
    echoes.push_back(asked.choices[i].options.logprobs ? "" : asked.choices[i].echo);
    batch.push_back(
        batch_request(i, std::move(asked.choices[i]), asked.kind == ApiKind::kChat && !asked.continues));
  }
  if (!state_.model_thread->submit(asked.model, std::move(batch))) {
    running_.reset();
    return say(
        error_answer(503, "the server is busy: too many requests are waiting", {{"Retry-After", "1"}}));
  }
  if (running_->stream) {
    state_.metrics.count_answer(place_, 200);
    begin_stream();
    for (size_t i = 0; i < running_->reply.choices(); ++i) send(running_->reply.begin_event(i));
  }
  for (size_t i = 0; i < echoes.size(); ++i)
    if (!echoes[i].empty()) on_text(i, echoes[i]);
}

// Wraps a function for the model thread: runs it here, unless the connection or request is gone by then.
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
  const auto on_scores = on_server_thread(
      [index, echo = std::move(choice.echo)](Session& session, const std::vector<ScoredToken>& tokens) {
        session.on_scores(index, tokens, echo);
      });
  BatchRequest request = {.prompt = std::move(choice.prompt),
                          .options = std::move(choice.options),
                          .sink = begins_answer ? answer_sink(std::move(sink)) : std::move(sink),
                          .scores = {},
                          .wanted = [wanted = running_->wanted] { return wanted->load(); },
                          .done = {},
                          .failed = {}};
  request.scores = on_scores;
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

// The first scores are those of the prompt, where it is echoed: its text goes with them.
void Session::on_scores(size_t choice, std::vector<ScoredToken> tokens, const std::string& echo) {
  const bool is_prompt = !tokens.front().logprob.has_value();
  running_->reply.add_scores(choice, std::move(tokens));
  if (is_prompt) on_text(choice, echo);
}

void Session::on_end(size_t choice, const Generation& generation) {
  ApiReply& reply = running_->reply;
  reply.end(choice, generation);
  state_.metrics.count_sequence(running_->model, running_->prompts[choice], generation);
  if (running_->stream) send(reply.end_event(choice));
  if (reply.complete()) finish();
}

void Session::finish() {
  const std::unique_ptr<Running> running = std::move(running_);
  ApiReply& reply = running->reply;
  log_info("{}: {} prompt tokens, {} new ones", state_.models[running->model].id, reply.prompt_tokens(),
           reply.completion_tokens());
  if (!running->stream)
    return work(state_.writers, [whole = std::make_shared<ApiReply>(std::move(reply))] {
      return saying(json_answer(whole->whole()));
    });
  if (running->include_usage) send(reply.usage_event());
  send(sse_event("[DONE]"));
  end_stream(true);
}

void Session::on_failure(const Error& error) {
  log_warning("{}: {}", state_.models[running_->model].id, error.what());
  break_off(error_answer(error));
}

void Session::cut() {
  if (running_) return break_off(unavailable(state_.state));
  if (!working_) return;
  working_.reset();
  say(unavailable(state_.state));
}

// Ends an answer with an error. A stream has begun with status 200: its last event is the error.
void Session::break_off(HttpAnswer error) {
  const std::unique_ptr<Running> running = std::move(running_);
  *running->wanted = false;
  if (!running->stream) return say(std::move(error));
  send(sse_event(error.body));
  end_stream(false);
}

void start_session(net::ip::tcp::socket socket, SharedState& state) {
  const auto session = std::make_shared<Session>(std::move(socket), state);
  state.sessions.insert(session);
  session->start();
}

void cut_sessions(SharedState& state) {
  for (const std::shared_ptr<Session>& session : std::set(state.sessions)) session->cut();
}

void end_sessions(SharedState& state) {
  for (const std::shared_ptr<Session>& session : std::set(state.sessions)) session->end_soon();
}

void close_sessions(SharedState& state) {
  for (const std::shared_ptr<Session>& session : std::set(state.sessions)) session->close();
}

}  // namespace pare
