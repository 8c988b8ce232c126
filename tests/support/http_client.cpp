#include "support/http_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

namespace pare::test {
namespace {

constexpr const char* kHeadEnd = "\r\n\r\n";

std::string unchunk(const std::string& body) {
  std::string joined;
  size_t at = 0;
  while (true) {
    const size_t line = body.find("\r\n", at);
    if (line == std::string::npos) {
      ADD_FAILURE() << "a chunked body breaks off";
      return joined;
    }
    const size_t size = std::strtoul(body.c_str() + at, nullptr, 16);
    if (size == 0) return joined;
    joined += body.substr(line + 2, size);
    at = line + 2 + size + 2;
  }
}

}  // namespace

HttpClient::HttpClient(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
}

HttpClient::~HttpClient() { ::close(socket_); }

void HttpClient::send(const std::string& bytes) const {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return;  // the server may have had enough
    sent += static_cast<size_t>(n);
  }
}

std::string HttpClient::receive(size_t most) const {
  std::string bytes(most, '\0');
  const ssize_t n = ::recv(socket_, bytes.data(), most, 0);
  bytes.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return bytes;
}

bool HttpClient::has_more() const {
  pollfd look = {.fd = socket_, .events = POLLIN, .revents = 0};
  return ::poll(&look, 1, 0) > 0;
}

HttpReply HttpClient::reply() const {
  std::string bytes;
  size_t wanted = std::string::npos;
  while (bytes.size() < wanted) {
    const std::string more = receive();
    if (more.empty()) break;
    bytes += more;
    const size_t head = bytes.find(kHeadEnd);
    const size_t length = bytes.find("Content-Length: ");
    if (head != std::string::npos && length < head)
      wanted = head + 4 + std::strtoul(bytes.c_str() + length + 16, nullptr, 10);
  }
  return parse_reply(bytes);
}

std::string HttpClient::rest() const {
  std::string bytes;
  for (std::string more = receive(); !more.empty(); more = receive()) bytes += more;
  return bytes;
}

std::string http_request(const std::string& method, const std::string& target, const std::string& body,
                         const std::vector<std::string>& fields) {
  std::string request = method + " " + target + " HTTP/1.1\r\nHost: here\r\n";
  for (const std::string& field : fields) request += field + "\r\n";
  if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return request + "\r\n" + body;
}

HttpReply parse_reply(const std::string& bytes) {
  HttpReply reply;
  const size_t end = bytes.find(kHeadEnd);
  if (end == std::string::npos) return reply;
  reply.head = bytes.substr(0, end);
  reply.status = std::atoi(reply.head.c_str() + std::min(reply.head.find(' '), reply.head.size()));
  reply.body = bytes.substr(end + 4);
  if (reply.head.find("Transfer-Encoding: chunked") != std::string::npos) reply.body = unchunk(reply.body);
  return reply;
}

HttpReply ask(uint16_t port, const std::string& method, const std::string& target, const std::string& body,
              std::vector<std::string> fields) {
  fields.emplace_back("Connection: close");
  const HttpClient client(port);
  client.send(http_request(method, target, body, fields));
  return parse_reply(client.rest());
}

std::vector<std::string> sse_data(const std::string& body) {
  std::vector<std::string> data;
  size_t at = 0;
  while (at < body.size()) {
    const size_t end = body.find("\n\n", at);
    if (end == std::string::npos || body.compare(at, 6, "data: ") != 0) {
      ADD_FAILURE() << "not an event: " << body.substr(at);
      return data;
    }
    data.push_back(body.substr(at + 6, end - at - 6));
    at = end + 2;
  }
  return data;
}

}  // namespace pare::test
