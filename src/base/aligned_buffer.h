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
// Asks for huge pages where whole ones fit into [data, data + bytes): far fewer page faults on first touch.
void advise_huge_pages(void* data, size_t bytes);
}  // namespace detail

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
    data_.reset(static_cast<T*>(std::aligned_alloc(kAlignment, bytes)));
    if (!data_) throw std::bad_alloc();
    if (bytes >= kHugePage) detail::advise_huge_pages(data_.get(), bytes);
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_.get()[i]; }
  const T& operator[](size_t i) const { return data_.get()[i]; }
  std::span<T> span() { return {data(), size_}; }
  std::span<const T> span() const { return {data(), size_}; }

  static constexpr size_t kAlignment = 64;
  static constexpr size_t kHugePage = size_t{4} << 20;  // worth asking for from here on

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  size_t size_ = 0;
};

}  // namespace pare
