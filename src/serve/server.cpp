#include "serve/server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <ctime>
#include <random>

#include "serve/session.h"

namespace pare {

namespace net = boost::asio;
using boost::system::error_code;

namespace {

constexpr size_t kMaxSessions = 512;
constexpr std::chrono::milliseconds kPause{100};  // where no connection can be accepted: too many files

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
  Impl(std::vector<ServedModel> models, const ServeOptions& options)
      : acceptor(listen(context, options.host, options.port)),
        signals(context, SIGINT, SIGTERM),
        timer(context) {
    PARE_CHECK(!models.empty());
    state.models = std::move(models);
    state.api_key = options.api_key;
    state.context = options.limits.context;
    state.started = std::time(nullptr);
    state.id_prefix = random_prefix();
    engine = std::make_unique<Engine>(state.models, options.limits);
    state.engine = engine.get();
  }
  // The engine's thread hands its last words to the context.
  ~Impl() {
    engine.reset();
    close_sessions(state);
  }

  void accept() {
    acceptor.async_accept([this](error_code error, net::ip::tcp::socket socket) {
      if (!acceptor.is_open()) return;
      if (error) {
        timer.expires_after(kPause);
        return timer.async_wait([this](error_code stopped) {
          if (!stopped) accept();
        });
      }
      // One connection too many is closed at once.
      if (state.sessions.size() < kMaxSessions) start_session(std::move(socket), state);
      accept();
    });
  }

  net::io_context context{1};
  net::ip::tcp::acceptor acceptor;
  net::signal_set signals;
  net::steady_timer timer;
  SharedState state;
  std::unique_ptr<Engine> engine;
};

Server::Server(std::vector<ServedModel> models, const ServeOptions& options)
    : impl_(std::make_unique<Impl>(std::move(models), options)) {}
Server::~Server() = default;

uint16_t Server::port() const { return impl_->acceptor.local_endpoint().port(); }

std::string Server::url() const {
  const net::ip::tcp::endpoint endpoint = impl_->acceptor.local_endpoint();
  const std::string address = endpoint.address().to_string();
  return fmt::format("http://{}:{}", endpoint.address().is_v6() ? "[" + address + "]" : address,
                     endpoint.port());
}

void Server::run() {
  impl_->accept();
  impl_->signals.async_wait([this](error_code error, int) {
    if (!error) impl_->context.stop();
  });
  impl_->context.run();
}

void Server::stop() {
  net::post(impl_->context, [this] { impl_->context.stop(); });
}

}  // namespace pare
