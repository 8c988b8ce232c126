// A pool instead of OpenMP: libgomp's waiting threads spin, which costs more than it gains as soon as
// anything else runs on the machine. Here a thread spins for a few microseconds only and then sleeps in the
// kernel.
#include "base/parallel.h"

#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/error.h"

namespace pare {
namespace {

constexpr int kSpins = 400;  // pauses before sleeping, about 10 to 20 µs

int available_cpus() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

int& count_setting() {
  static int value = available_cpus();
  return value;
}

// Waits until `value` differs from `old`: a short spin, then a sleep.
template <typename T>
void wait_while_equal(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    __builtin_ia32_pause();
  }
  value.wait(old, std::memory_order_acquire);
}

thread_local bool inside_parallel = false;

class Pool {
 public:
  explicit Pool(int workers) : owner_(::getpid()) {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  }
  ~Pool() {
    if (!survives_fork()) {
      forget_threads();
      return;
    }
    stop_ = true;
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int workers() const { return static_cast<int>(threads_.size()); }
  // After fork() the child has the object but not its threads.
  bool survives_fork() const { return owner_ == ::getpid(); }
  void forget_threads() {
    for (std::thread& thread : threads_) thread.detach();
    threads_.clear();
  }

  void run(int64_t count, void (*body)(void*, int64_t), void* context) {
    {
      const std::lock_guard<std::mutex> lock(entry_);
      body_ = body;
      context_ = context;
      count_ = count;
      next_.store(0, std::memory_order_relaxed);
      open_ = true;
    }
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    take_items();
    {
      const std::lock_guard<std::mutex> lock(entry_);
      open_ = false;  // threads that have not entered by now stay out: the job's data is about to go
    }
    for (int active = active_.load(std::memory_order_acquire); active != 0;
         active = active_.load(std::memory_order_acquire))
      wait_while_equal(active_, active);
  }

 private:
  void take_items() {
    inside_parallel = true;
    for (int64_t i = next_.fetch_add(1, std::memory_order_relaxed); i < count_;
         i = next_.fetch_add(1, std::memory_order_relaxed))
      body_(context_, i);
    inside_parallel = false;
  }

  bool enter() {
    const std::lock_guard<std::mutex> lock(entry_);
    if (open_) active_.fetch_add(1, std::memory_order_relaxed);
    return open_;
  }

  void work() {
    uint32_t seen = 0;
    while (true) {
      wait_while_equal(generation_, seen);
      seen = generation_.load(std::memory_order_acquire);
      if (stop_) return;
      if (!enter()) continue;
      take_items();
      if (active_.fetch_sub(1, std::memory_order_acq_rel) == 1) active_.notify_all();
    }
  }

  std::vector<std::thread> threads_;
  pid_t owner_;
  std::mutex entry_;  // guards the job and open_
  void (*body_)(void*, int64_t) = nullptr;
  void* context_ = nullptr;
  int64_t count_ = 0;
  bool open_ = false;
  std::atomic<int64_t> next_{0};
  std::atomic<int> active_{0};
  std::atomic<uint32_t> generation_{0};
  std::atomic<bool> stop_{false};
};

std::mutex& pool_mutex() {
  static std::mutex instance;
  return instance;
}

// The pool for the current thread count; call with pool_mutex() held.
Pool& current_pool() {
  static std::unique_ptr<Pool> instance;
  const int workers = thread_count() - 1;
  if (instance && !instance->survives_fork()) {
    instance->forget_threads();
    static_cast<void>(instance.release());  // its mutexes may be in any state: leave the object alone
  }
  if (!instance || instance->workers() != workers) {
    instance.reset();
    instance = std::make_unique<Pool>(workers);
  }
  return *instance;
}

}  // namespace

int thread_count() { return count_setting(); }

void set_thread_count(int n) {
  if (n < 1 || n > 1024) fail(ErrorCode::kInvalid, "the number of threads must be 1..1024, got {}", n);
  count_setting() = n;
}

void detail::run_parallel(int64_t count, void (*body)(void*, int64_t), void* context) {
  std::unique_lock<std::mutex> lock(pool_mutex(), std::defer_lock);
  if (inside_parallel || thread_count() == 1 || !lock.try_lock()) {
    for (int64_t i = 0; i < count; ++i) body(context, i);
    return;
  }
  current_pool().run(count, body, context);
}

}  // namespace pare
