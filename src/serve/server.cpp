#include "serve/server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <ctime>
#include <exception>
#include <random>
#include <thread>

#include "base/log.h"
#include "serve/session.h"

namespace pare {

namespace net = boost::asio;
using boost::system::error_code;

namespace {

constexpr size_t kMaxSessions = 512;
constexpr std::chrono::seconds kLastWords{2};     // for clients to take answers when the server stops
constexpr std::chrono::milliseconds kPause{100};  // after a failed accept, such as too many open files

std::string random_prefix() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

net::ip::tcp::acceptor listen(net::io_context& context, const std::string& host, uint16_t port) {
  error_code error;
  net::ip::tcp::resolver resolver(context);
  const auto found = resolver.resolve(host, std::to_string(port), net::ip::tcp::resolver::passive, error);
  if (error) fail(ErrorCode::kIo, "cannot listen on {}:{}: {}", host, port, error.message());
  const net::ip::tcp::endpoint endpoint = found.begin()->endpoint();
  net::ip::tcp::acceptor acceptor(context);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(net::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(net::socket_base::max_listen_connections, error);
  if (error) fail(ErrorCode::kIo, "cannot listen on {}:{}: {}", host, port, error.message());
  return acceptor;
}

}  // namespace

struct Server::Impl {
  explicit Impl(const ServeOptions& options)
      : limits(options.limits),
        drain(options.drain),
        acceptor(listen(context, options.host, options.port)),
        endpoint(acceptor.local_endpoint()),
        signals(context),
        pause(context),
        deadline(context) {
    state.api_key = options.api_key;
    state.version = options.version;
    state.cors = CorsPolicy(options.cors);
    state.context = options.limits.context;
    state.started = std::time(nullptr);
    state.id_prefix = random_prefix();
    state.changed = [this] { net::post(context, [this] { see_whether_done(); }); };
  }
  // Ends the other threads first: their last calls go to the context.
  ~Impl() {
    state.readers.stop();
    state.writers.stop();
    model_thread.reset();
    state.readers.join();
    state.writers.join();
    close_sessions(state);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void accept() {
    acceptor.async_accept([this](error_code error, net::ip::tcp::socket socket) {
      if (!acceptor.is_open()) return;
      if (error) {
        pause.expires_after(kPause);
        return pause.async_wait([this](error_code stopped) {
          if (!stopped) accept();
        });
      }
      // One connection too many is closed at once.
      if (state.sessions.size() < kMaxSessions) start_session(std::move(socket), state);
      accept();
    });
  }

  // Opens the models to requests. Before, a signal ended the process, which had nothing to finish.
  void open(std::vector<ServedModel> models) {
    state.models = std::move(models);
    state.model_thread = model_thread.get();
    state.state = ServerState::kReady;
    signals.add(SIGINT);
    signals.add(SIGTERM);
    await_signal();
  }

  void await_signal() {
    signals.async_wait([this](error_code error, int) {
      if (error) return;
      if (state.state == ServerState::kDraining) return context.stop();
      state.state = ServerState::kDraining;
      if (state.at_work > 0)
        log_info("{} answers may end within {} s; a second signal ends them at once", state.at_work, drain);
      deadline.expires_after(
          std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(drain)));
      deadline.async_wait([this](error_code stopped) {
        if (stopped) return;
        cut_sessions(state);
        say_goodbye();
      });
      see_whether_done();
      await_signal();
    });
  }

  // Closes the server after the last token. Finished answers are still on their way to clients.
  void say_goodbye() {
    leaving = true;
    error_code ignored;
    acceptor.close(ignored);
    deadline.expires_after(kLastWords);
    deadline.async_wait([this](error_code stopped) {
      if (!stopped) context.stop();
    });
    end_sessions(state);
    see_whether_done();
  }

  void see_whether_done() {
    if (leaving && state.sessions.empty()) context.stop();
    if (!leaving && state.state == ServerState::kDraining && state.at_work == 0) say_goodbye();
  }

  void run(const std::function<std::vector<ServedModel>()>& load) {
    accept();
    std::exception_ptr failure;
    std::thread network([&] {
      try {
        context.run();
      } catch (...) {
        failure = std::current_exception();
      }
    });
    try {
      std::vector<ServedModel> models = load();
      PARE_CHECK(!models.empty());
      model_thread = std::make_unique<ModelThread>(models, limits);
      net::post(context, [this, opened = std::move(models)]() mutable { open(std::move(opened)); });
    } catch (...) {
      context.stop();
      network.join();
      throw;
    }
    network.join();
    if (failure) std::rethrow_exception(failure);
  }

  using Clock = std::chrono::steady_clock;

  ModelThreadLimits limits;
  double drain;
  bool leaving = false;
  net::io_context context{1};
  net::ip::tcp::acceptor acceptor;
  net::ip::tcp::endpoint endpoint;
  net::signal_set signals;
  net::steady_timer pause;
  net::steady_timer deadline;
  SharedState state;
  std::unique_ptr<ModelThread> model_thread;
};

namespace {

const ServeOptions& checked(const ServeOptions& options) {
  constexpr double kLongest = 86400.0;
  validate(options.limits);
  if (!(options.drain >= 0.0 && options.drain <= kLongest))
    fail(ErrorCode::kUsage, "`drain` is {}, expected 0 to {} seconds", options.drain, kLongest);
  return options;
}

}  // namespace

Server::Server(const ServeOptions& options) : impl_(std::make_unique<Impl>(checked(options))) {}
Server::~Server() = default;

uint16_t Server::port() const { return impl_->endpoint.port(); }

std::string Server::url() const {
  const std::string address = impl_->endpoint.address().to_string();
  return fmt::format("http://{}:{}", impl_->endpoint.address().is_v6() ? "[" + address + "]" : address,
                     impl_->endpoint.port());
}

void Server::run(const std::function<std::vector<ServedModel>()>& load) { impl_->run(load); }

void Server::stop() {
  net::post(impl_->context, [this] { impl_->context.stop(); });
}

}  // namespace pare
