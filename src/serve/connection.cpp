#include "serve/connection.h"

#include <fmt/format.h>
#include <poll.h>

#include <boost/asio/write.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <iterator>
#include <utility>

namespace pare {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

namespace {

constexpr uint32_t kMaxHeader = 16 << 10;
constexpr uint64_t kMaxBody = 8 << 20;
constexpr std::chrono::seconds kRequestTime{60};  // for a request to arrive, the wait for it included
constexpr std::chrono::seconds kWriteTime{60};    // for a reader to take what it asked for
constexpr std::chrono::seconds kLingerTime{2};
constexpr std::chrono::seconds kLookAgain{1};  // before a client with a next request is checked again
constexpr size_t kDiscarded = 4096;            // bytes at a time

}  // namespace

void Connection::close() {
  if (std::exchange(closed_, true)) return;
  waits_ = false;
  NetError ignored;
  stream_.socket().close(ignored);
  look_again_.cancel();
  on_close();
}

void Connection::end_soon() {
  keep_alive_ = false;
  if (idle_) close();
}

void Connection::read_header() {
  idle_ = true;
  parser_.emplace();
  parser_->header_limit(kMaxHeader);
  parser_->body_limit(kMaxBody);
  stream_.expires_after(kRequestTime);
  http::async_read_header(stream_, buffer_, *parser_,
                          [self = self()](NetError error, size_t) { self->on_header(error); });
}

void Connection::on_header(NetError error) {
  if (error) return fail_to_read(error);
  if (!beast::iequals(parser_->get()[http::field::expect], "100-continue")) return read_body();
  current_ = "HTTP/1.1 100 Continue\r\n\r\n";
  net::async_write(stream_, net::buffer(current_), [self = self()](NetError e, size_t) {
    if (e) return self->close();
    self->read_body();
  });
}

void Connection::read_body() {
  http::async_read(stream_, buffer_, *parser_,
                   [self = self()](NetError error, size_t) { self->on_body(error); });
}

void Connection::on_body(NetError error) {
  if (error) return fail_to_read(error);
  idle_ = false;
  request_ = parser_->release();
  keep_alive_ = request_.keep_alive();
  ++serial_;
  on_request();
}

// Answers a request that broke HTTP's rules; a broken connection gets no answer.
void Connection::fail_to_read(NetError error) {
  static const auto& http_category = make_error_code(http::error::bad_method).category();
  if (error.category() != http_category || error == http::error::end_of_stream ||
      error == http::error::partial_message)
    return close();
  idle_ = false;
  keep_alive_ = false;
  request_ = {};
  // The part of the header that was read says to whom the answer goes.
  if (const auto origin = parser_->get()[http::field::origin]; !origin.empty())
    request_.set(http::field::origin, origin);
  request_.version(11);
  if (error == http::error::body_limit)
    return on_bad_request(413, fmt::format("the request's body is larger than {} bytes", kMaxBody));
  if (error == http::error::header_limit)
    return on_bad_request(431, fmt::format("the request's header is larger than {} bytes", kMaxHeader));
  on_bad_request(400, "this is not a request of HTTP/1.1: " + error.message());
}

void Connection::answer(HttpAnswer answer) {
  waits_ = false;
  response_ = {};
  response_.version(request_.version());
  response_.result(static_cast<unsigned>(answer.status));
  response_.set(http::field::server, "pare");
  if (!answer.type.empty()) response_.set(http::field::content_type, std::string(answer.type));
  response_.set("X-Content-Type-Options", "nosniff");
  for (const HttpFields& fields : {answer.fields, common_fields()})
    for (const auto& [name, value] : fields) response_.set(name, value);
  response_.keep_alive(keep_alive_);
  // An answer whose status forbids a body has no length.
  if (response_.result() != http::status::no_content) response_.content_length(answer.body.size());
  if (request_.method() != http::verb::head) response_.body() = std::move(answer.body);
  stream_.expires_after(kWriteTime);
  http::async_write(stream_, response_, [self = self()](NetError error, size_t) {
    if (error) return self->close();
    self->next();
  });
}

void Connection::wait_for_answer() {
  if (std::exchange(waits_, true)) return;
  stream_.expires_never();
  watch();
}

void Connection::watch() {
  stream_.socket().async_wait(net::ip::tcp::socket::wait_read,
                              [self = self(), serial = serial_](NetError error) {
                                if (error || !self->waits_ || self->serial_ != serial) return;
                                if (self->is_gone()) return self->close();
                                // A next request lies there; without a pause it would be found again.
                                self->look_again_.expires_after(kLookAgain);
                                self->look_again_.async_wait([self, serial](NetError stopped) {
                                  if (!stopped && self->waits_ && self->serial_ == serial) self->watch();
                                });
                              });
}

// Returns whether the client has gone. Bytes that it has sent before need not be read to know.
bool Connection::is_gone() {
  pollfd look = {.fd = stream_.socket().native_handle(), .events = POLLRDHUP, .revents = 0};
  return ::poll(&look, 1, 0) > 0;
}

void Connection::begin_stream() {
  chunked_ = request_.version() >= 11;
  keep_alive_ = keep_alive_ && chunked_;
  complete_ = false;
  out_ = fmt::format(
      "HTTP/1.1 200 OK\r\nServer: pare\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
      "{}{}",
      chunked_ ? "Transfer-Encoding: chunked\r\n" : "", keep_alive_ ? "" : "Connection: close\r\n");
  for (const auto& [name, value] : common_fields()) out_ += fmt::format("{}: {}\r\n", name, value);
  out_ += "\r\n";
  pump();
}

void Connection::send(std::string_view data) {
  if (chunked_)
    fmt::format_to(std::back_inserter(out_), "{:x}\r\n{}\r\n", data.size(), data);
  else
    out_ += data;
  pump();
}

void Connection::end_stream(bool whole) {
  waits_ = false;
  if (chunked_) out_ += "0\r\n\r\n";
  keep_alive_ = keep_alive_ && whole;
  complete_ = true;
  pump();
}

void Connection::pump() {
  if (writing_ || closed_) return;
  if (out_.empty()) {
    if (std::exchange(complete_, false)) next();
    return;
  }
  writing_ = true;
  current_ = std::exchange(out_, {});
  stream_.expires_after(kWriteTime);
  net::async_write(stream_, net::buffer(current_), [self = self()](NetError error, size_t) {
    self->writing_ = false;
    if (error) return self->close();
    self->stream_.expires_never();
    self->pump();
  });
}

void Connection::next() {
  if (keep_alive_) return read_header();
  // Closing a connection that still has something to read would discard the answer.
  NetError ignored;
  stream_.socket().shutdown(net::ip::tcp::socket::shutdown_send, ignored);
  stream_.expires_after(kLingerTime);
  discard();
}

void Connection::discard() {
  stream_.async_read_some(buffer_.prepare(kDiscarded), [self = self()](NetError error, size_t) {
    if (error) return self->close();
    self->discard();
  });
}

}  // namespace pare
