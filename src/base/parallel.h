// Deterministic parallel loops: work is cut into pieces that do not depend on the thread count.
#pragma once

#include <cstdint>
#include <exception>
#include <mutex>

namespace pare {

// Number of threads parallel_for uses (default: the CPUs this process may run on).
int thread_count();
// Sets the number; n in 1..1024, throws Error{kInvalid} otherwise. Not while a parallel_for runs.
void set_thread_count(int n);

namespace detail {
// Runs body(context, i) for i in [0, count) on the pool's threads and the caller's; body does not throw.
void run_parallel(int64_t count, void (*body)(void* context, int64_t i), void* context);
}  // namespace detail

// Calls body(i) for i in [0, count), each exactly once, in any order, on up to thread_count() threads.
// The first exception is rethrown on the caller's thread. Nested and concurrent calls run serially.
template <typename Body>
void parallel_for(int64_t count, Body&& body) {
  if (count <= 1) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  struct Context {
    Body& body;
    std::mutex mutex;
    std::exception_ptr error;
  };
  Context context{body, {}, nullptr};
  detail::run_parallel(
      count,
      [](void* erased, int64_t i) {
        auto& c = *static_cast<Context*>(erased);
        try {
          c.body(i);
        } catch (...) {
          const std::lock_guard<std::mutex> lock(c.mutex);
          if (!c.error) c.error = std::current_exception();
        }
      },
      &context);
  if (context.error) std::rethrow_exception(context.error);
}

}  // namespace pare
