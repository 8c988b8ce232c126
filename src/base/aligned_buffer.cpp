#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cstdint>
#include <iterator>
#include <list>
#include <map>
#include <mutex>

namespace pare {
namespace {

constexpr size_t kHugePages = size_t{4} << 20;     // bytes from which on huge pages are worth asking for
constexpr size_t kWorthKeeping = size_t{1} << 18;  // bytes from which on a buffer is kept

// Returns the bytes to take for a buffer: of those worth keeping, up to an eighth more, so that buffers of
// nearly the same size take each other's place. Pages that nothing touches take no memory.
size_t taken_bytes(size_t bytes) {
  if (bytes < kWorthKeeping) return bytes;
  const size_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

void advise_huge_pages(void* data, size_t bytes) {
  constexpr uintptr_t kPage = uintptr_t{2} << 20;
  const uintptr_t skipped = (kPage - reinterpret_cast<uintptr_t>(data) % kPage) % kPage;
  if (skipped >= bytes) return;
  const size_t whole = (bytes - skipped) / kPage * kPage;
  if (whole > 0) ::madvise(static_cast<char*>(data) + skipped, whole, MADV_HUGEPAGE);
}

// Buffers that were given back.
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
    const auto end = by_size_.upper_bound(bytes);
    if (end == by_size_.begin()) return nullptr;
    const auto found = std::prev(end);  // the latest of its size
    if (found->first != bytes) return nullptr;
    void* data = found->second->data;
    drop(found);
    return data;
  }
  // Returns whether the buffer is kept.
  bool keep(void* data, size_t bytes) noexcept {
    if (!active_ || bytes < kWorthKeeping) return false;
    try {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (bytes > most_) return false;
      drop_beyond(most_ - bytes);
      buffers_.push_back({data, bytes});
      try {
        by_size_.emplace(bytes, std::prev(buffers_.end()));
      } catch (...) {
        buffers_.pop_back();
        throw;
      }
      held_ += bytes;
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

 private:
  struct Buffer {
    void* data;
    size_t bytes;
  };
  using BySize = std::multimap<size_t, std::list<Buffer>::iterator>;

  void drop(BySize::iterator entry) {
    held_ -= entry->first;
    buffers_.erase(entry->second);
    by_size_.erase(entry);
  }

  // Frees those that were given back first. What a pass gives back along its way and takes next time goes
  // before what every stage of it takes.
  void drop_beyond(size_t most) {
    while (held_ > most) {
      const auto oldest = buffers_.begin();
      std::free(oldest->data);
      auto entry = by_size_.lower_bound(oldest->bytes);
      while (entry->second != oldest) ++entry;
      drop(entry);
    }
  }

  std::mutex mutex_;
  std::atomic<bool> active_ = false;
  std::list<Buffer> buffers_;  // in the order in which they were given back
  BySize by_size_;
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
  bytes = taken_bytes(bytes);
  if (void* kept = kept_buffers().take(bytes)) return kept;
  void* data = std::aligned_alloc(kBufferAlignment, bytes);
  if (data != nullptr && bytes >= kHugePages) advise_huge_pages(data, bytes);
  return data;
}

void give_buffer_back(void* data, size_t bytes) noexcept {
  if (!kept_buffers().keep(data, taken_bytes(bytes))) std::free(data);
}

}  // namespace detail

BufferReuse::BufferReuse(size_t most) : most_(most) { kept_buffers().begin(most_); }
BufferReuse::~BufferReuse() { kept_buffers().end(most_); }

}  // namespace pare
