// HTTP/1.1 on one socket: requests come in one after another, answers go out, whole or streamed.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "serve/cors.h"

namespace pare {

struct HttpAnswer {
  int status = 200;
  std::string_view type;  // media type of the body; empty: there is no body
  std::string body;
  HttpFields fields = {};  // further fields of the header
};

// Everything happens on the thread of the socket's io_context. A derived class answers each request with
// answer(), or with begin_stream(), send() and end_stream(), at once or later.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  virtual ~Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start() { read_header(); }
  void close();
  // Ends as soon as the current request is answered: at once when there is none.
  void end_soon();

 protected:
  using Request = boost::beast::http::request<boost::beast::http::string_body>;
  using Executor = boost::beast::tcp_stream::executor_type;
  using NetError = boost::system::error_code;

  explicit Connection(boost::asio::ip::tcp::socket socket)
      : stream_(std::move(socket)), look_again_(stream_.get_executor()) {}

  virtual void on_request() = 0;
  // Called for bytes that are no request of HTTP/1.1, or too large a one.
  virtual void on_bad_request(int status, const std::string& message) = 0;
  // Called once, when the connection closes.
  virtual void on_close() = 0;
  // Fields of every answer's header, beside the answer's own.
  virtual HttpFields common_fields() const = 0;

  const Request& request() const { return request_; }
  std::string take_body() { return std::move(request_.body()); }
  Executor executor() { return stream_.get_executor(); }
  // Number of the current request; calls for an earlier number are stale.
  uint64_t serial() const { return serial_; }

  void answer(HttpAnswer answer);
  // Call before an answer that takes its time: closes the connection when the client goes away meanwhile.
  void wait_for_answer();
  // Begins server-sent events, in chunks where the client knows them.
  void begin_stream();
  void send(std::string_view data);
  // `whole`: the stream is complete. If not, the connection ends with it.
  void end_stream(bool whole);

 private:
  std::shared_ptr<Connection> self() { return shared_from_this(); }
  void read_header();
  void on_header(NetError error);
  void read_body();
  void on_body(NetError error);
  void fail_to_read(NetError error);
  void watch();
  bool is_gone();
  void pump();
  void next();
  void discard();

  boost::beast::tcp_stream stream_;
  boost::asio::steady_timer look_again_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  Request request_;
  boost::beast::http::response<boost::beast::http::string_body> response_;
  bool keep_alive_ = false;
  bool closed_ = false;
  bool waits_ = false;  // a request waits for its answer
  bool idle_ = true;    // every request that has come to its end is answered
  uint64_t serial_ = 0;
  // True if the streamed answer is sent in chunks.
  bool chunked_ = false;
  bool writing_ = false;
  bool complete_ = false;
  std::string out_;      // bytes not yet being written
  std::string current_;  // bytes being written
};

}  // namespace pare
