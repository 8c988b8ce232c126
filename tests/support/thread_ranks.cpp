#include "support/thread_ranks.h"

#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/error.h"

namespace pare::test {
namespace {

// The messages under way between all ranks.
struct Exchange {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::pair<int, int>, std::deque<std::string>> messages;  // by sender and receiver
  std::exception_ptr error;
};

class ThreadComm final : public Comm {
 public:
  ThreadComm(Exchange& exchange, int rank, int size) : exchange_(exchange), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void send(int to, std::span<const std::byte> bytes) override {
    PARE_CHECK(to >= 0 && to < size_ && to != rank_);
    const std::lock_guard<std::mutex> lock(exchange_.mutex);
    exchange_.messages[{rank_, to}].emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    exchange_.changed.notify_all();
  }

  void receive(int from, std::span<std::byte> bytes) override {
    PARE_CHECK(from >= 0 && from < size_ && from != rank_);
    std::unique_lock<std::mutex> lock(exchange_.mutex);
    auto& queue = exchange_.messages[{from, rank_}];
    exchange_.changed.wait(lock, [&] { return !queue.empty() || exchange_.error; });
    if (queue.empty()) fail(ErrorCode::kIo, "another rank has failed");
    PARE_CHECK(queue.front().size() == bytes.size());
    if (!bytes.empty()) std::memcpy(bytes.data(), queue.front().data(), bytes.size());
    queue.pop_front();
  }

  void announce_failure(std::string_view) noexcept override {}
  void end_job(int) noexcept override {}

 private:
  Exchange& exchange_;
  int rank_;
  int size_;
};

}  // namespace

void run_ranks(int size, const std::function<void(Comm&)>& body) {
  Exchange exchange;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&exchange, &body, rank, size] {
      ThreadComm comm(exchange, rank, size);
      try {
        body(comm);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(exchange.mutex);
        if (!exchange.error) exchange.error = std::current_exception();
        exchange.changed.notify_all();
      }
    });
  for (std::thread& thread : threads) thread.join();
  if (exchange.error) std::rethrow_exception(exchange.error);
}

}  // namespace pare::test
