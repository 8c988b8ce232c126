// Several processes that work on one run: ranks 0 to size − 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pare {

// Messages from one rank to another arrive in the order in which they were sent, and both sides know how long
// each is. Used by one thread. An error of any rank ends the run of all.
class Comm {
 public:
  Comm() = default;
  virtual ~Comm() = default;
  Comm(const Comm&) = delete;
  Comm& operator=(const Comm&) = delete;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Return when the bytes may be changed, or are there. Throw kIo when the connection is lost and, on rank 0,
  // the error that another rank has announced.
  virtual void send(int to, std::span<const std::byte> bytes) = 0;
  virtual void receive(int from, std::span<std::byte> bytes) = 0;

  // Tells rank 0 that this one has failed, and gives it some seconds to end the job.
  virtual void announce_failure(std::string_view message) noexcept = 0;
  // Ends the processes of all ranks; returns where there are no others.
  virtual void end_job(int status) noexcept = 0;

  bool is_first() const { return rank() == 0; }

  // Collective functions: all ranks call them in the same order.
  void broadcast(int root, std::span<std::byte> bytes);
  std::string broadcast(int root, std::string text);
  std::vector<std::string> gather(const std::string& own);  // all ranks' texts in their order, on every rank
  void barrier();
  bool all(bool own);  // true if `own` is true on every rank
};

// The only rank there is.
class LocalComm final : public Comm {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void send(int to, std::span<const std::byte> bytes) override;
  void receive(int from, std::span<std::byte> bytes) override;
  void announce_failure(std::string_view) noexcept override {}
  void end_job(int) noexcept override {}
};

// Returns the one instance, which holds nothing.
Comm& local_comm();

// Views an array of plain values as bytes.
template <typename T>
std::span<std::byte> bytes_of(T* values, int64_t count) {
  return std::as_writable_bytes(std::span(values, static_cast<size_t>(count)));
}

}  // namespace pare
