// Deterministic parallel loops: work is cut into pieces that do not depend on the thread count.
#pragma once

#include <cstdint>
#include <exception>
#include <mutex>

namespace pare {

// Number of threads parallel_for uses (default: the CPUs this process may run on).
int thread_count();
// n >= 1; throws Error{kInvalid} otherwise.
void set_thread_count(int n);

// Calls body(i) for i in [0, count), each exactly once, in any order, on up to thread_count() threads.
// The first exception is rethrown on the caller's thread. Nested calls run serially.
template <typename Body>
void parallel_for(int64_t count, Body&& body) {
  std::exception_ptr error;
  std::mutex mutex;
#pragma omp parallel for schedule(dynamic, 1) num_threads(thread_count()) if (count > 1)
  for (int64_t i = 0; i < count; ++i) {
    try {
      body(i);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace pare
