#include "base/comm.h"

#include "base/error.h"

namespace pare {
namespace {

void send_text(Comm& comm, int to, const std::string& text) {
  const uint64_t length = text.size();
  comm.send(to, std::as_bytes(std::span(&length, 1)));
  comm.send(to, std::as_bytes(std::span(text)));
}

std::string receive_text(Comm& comm, int from) {
  uint64_t length = 0;
  comm.receive(from, std::as_writable_bytes(std::span(&length, 1)));
  std::string text(length, '\0');
  comm.receive(from, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace

void Comm::broadcast(int root, std::span<std::byte> bytes) {
  if (rank() != root) return receive(root, bytes);
  for (int to = 0; to < size(); ++to)
    if (to != root) send(to, bytes);
}

std::string Comm::broadcast(int root, std::string text) {
  if (rank() != root) return receive_text(*this, root);
  for (int to = 0; to < size(); ++to)
    if (to != root) send_text(*this, to, text);
  return text;
}

std::vector<std::string> Comm::gather(const std::string& own) {
  std::vector<std::string> all = {own};
  if (is_first()) {
    for (int from = 1; from < size(); ++from) all.push_back(receive_text(*this, from));
  } else {
    send_text(*this, 0, own);
  }
  all.resize(static_cast<size_t>(size()));
  for (std::string& text : all) text = broadcast(0, std::move(text));
  return all;
}

void Comm::barrier() { gather({}); }

bool Comm::all(bool own) {
  for (const std::string& other : gather(own ? "1" : "0"))
    if (other != "1") return false;
  return true;
}

void LocalComm::send(int to, std::span<const std::byte>) {
  fail(ErrorCode::kInternal, "there is no rank {} to send to", to);
}

void LocalComm::receive(int from, std::span<std::byte>) {
  fail(ErrorCode::kInternal, "there is no rank {} to receive from", from);
}

Comm& local_comm() {
  static LocalComm comm;
  return comm;
}

}  // namespace pare
