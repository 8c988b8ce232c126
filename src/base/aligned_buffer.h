// Heap memory aligned for vector loads and tile loads.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

namespace pare {

namespace detail {
inline constexpr size_t kBufferAlignment = 64;
// Returns at least `bytes` bytes, 64-byte aligned, or null. Large ones ask for huge pages: far fewer page
// faults on first touch.
void* take_buffer(size_t bytes);
void give_buffer_back(void* data, size_t bytes) noexcept;
}  // namespace detail

// While one exists, large buffers that are given back are kept for the next of about that size, instead of
// being returned to the system, which would clear their pages once more. For work that allocates the same
// sizes over and over. At most `most` bytes are kept.
class BufferReuse {
 public:
  explicit BufferReuse(size_t most);
  ~BufferReuse();
  BufferReuse(const BufferReuse&) = delete;
  BufferReuse& operator=(const BufferReuse&) = delete;

 private:
  size_t most_;
};

// `size` elements of T, 64-byte aligned, uninitialised; movable, not copyable. Throws std::bad_alloc.
template <typename T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size) : size_(size) {
    if (size == 0) return;
    if (size > (static_cast<size_t>(1) << 62) / sizeof(T)) throw std::bad_alloc();
    const size_t bytes = (size * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    data_ = {static_cast<T*>(detail::take_buffer(bytes)), Free{bytes}};
    if (!data_) throw std::bad_alloc();
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_.get()[i]; }
  const T& operator[](size_t i) const { return data_.get()[i]; }
  std::span<T> span() { return {data(), size_}; }
  std::span<const T> span() const { return {data(), size_}; }

  static constexpr size_t kAlignment = detail::kBufferAlignment;

 private:
  struct Free {
    size_t bytes = 0;
    void operator()(T* p) const { detail::give_buffer_back(p, bytes); }
  };
  std::unique_ptr<T, Free> data_;
  size_t size_ = 0;
};

}  // namespace pare
