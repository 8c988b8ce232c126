// A client for tests of the server: one request a connection, or raw bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pare::test {

struct HttpReply {
  int status = 0;
  std::string head;  // status line and fields
  std::string body;  // chunks joined
};

// A connection to a port of this machine.
class HttpClient {
 public:
  explicit HttpClient(uint16_t port);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void send(const std::string& bytes) const;
  // What is there next, at most so many bytes; empty at the end.
  std::string receive(size_t most = 65536) const;
  // Whether there is something, or the end.
  bool has_more() const;
  // Up to the end of one reply with a length; the connection stays open.
  HttpReply reply() const;
  // Up to the end of the connection.
  std::string rest() const;

 private:
  int socket_;
};

// "POST /x HTTP/1.1…" with Host, Content-Length and these fields.
std::string http_request(const std::string& method, const std::string& target, const std::string& body = "",
                         const std::vector<std::string>& fields = {});
HttpReply parse_reply(const std::string& bytes);
// A request of its own connection, which ends with it.
HttpReply ask(uint16_t port, const std::string& method, const std::string& target,
              const std::string& body = "", std::vector<std::string> fields = {});
// The data of the server-sent events of a body.
std::vector<std::string> sse_data(const std::string& body);

}  // namespace pare::test
