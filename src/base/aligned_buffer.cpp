#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>

namespace pare {
namespace {

constexpr size_t kHugePages = size_t{4} << 20;     // bytes from which on huge pages are worth asking for
constexpr size_t kWorthKeeping = size_t{1} << 18;  // bytes from which on a buffer is kept

void advise_huge_pages(void* data, size_t bytes) {
  constexpr uintptr_t kPage = uintptr_t{2} << 20;
  const uintptr_t skipped = (kPage - reinterpret_cast<uintptr_t>(data) % kPage) % kPage;
  if (skipped >= bytes) return;
  const size_t whole = (bytes - skipped) / kPage * kPage;
  if (whole > 0) ::madvise(static_cast<char*>(data) + skipped, whole, MADV_HUGEPAGE);
}

// Buffers that were given back, by their sizes.
class KeptBuffers {
 public:
  void begin(size_t most) {
    const std::lock_guard<std::mutex> lock(mutex_);
    most_ += most;
    active_ = most_ > 0;
  }
  void end(size_t most) {
    const std::lock_guard<std::mutex> lock(mutex_);
    most_ -= most;
    active_ = most_ > 0;
    drop_beyond(most_);
  }
  void* take(size_t bytes) {
    if (!active_ || bytes < kWorthKeeping) return nullptr;
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = buffers_.find(bytes);
    if (found == buffers_.end()) return nullptr;
    void* data = found->second;
    buffers_.erase(found);
    held_ -= bytes;
    return data;
  }
  // Returns whether the buffer is kept.
  bool keep(void* data, size_t bytes) noexcept {
    if (!active_ || bytes < kWorthKeeping) return false;
    try {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (bytes > most_) return false;
      drop_beyond(most_ - bytes);
      buffers_.emplace(bytes, data);
      held_ += bytes;
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

 private:
  void drop_beyond(size_t most) {
    while (held_ > most) {
      const auto largest = std::prev(buffers_.end());
      std::free(largest->second);
      held_ -= largest->first;
      buffers_.erase(largest);
    }
  }

  std::mutex mutex_;
  std::atomic<bool> active_ = false;
  std::multimap<size_t, void*> buffers_;
  size_t held_ = 0;
  size_t most_ = 0;
};

// Is never destroyed: buffers of static objects are given back after it would be.
KeptBuffers& kept_buffers() {
  static KeptBuffers* const kept = new KeptBuffers;
  return *kept;
}

}  // namespace

namespace detail {

void* take_buffer(size_t bytes) {
  if (void* kept = kept_buffers().take(bytes)) return kept;
  void* data = std::aligned_alloc(kBufferAlignment, bytes);
  if (data != nullptr && bytes >= kHugePages) advise_huge_pages(data, bytes);
  return data;
}

void give_buffer_back(void* data, size_t bytes) noexcept {
  if (!kept_buffers().keep(data, bytes)) std::free(data);
}

}  // namespace detail

BufferReuse::BufferReuse(size_t most) : most_(most) { kept_buffers().begin(most_); }
BufferReuse::~BufferReuse() { kept_buffers().end(most_); }

}  // namespace pare
