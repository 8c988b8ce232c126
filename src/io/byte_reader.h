// Reading a binary file from the front, every length checked against what is left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/error.h"

namespace pare {

class ByteReader {
 public:
  // `what` names the file in messages and must outlive the reader.
  ByteReader(std::span<const std::byte> bytes, std::string_view what) : bytes_(bytes), what_(what) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }
  std::string_view what() const { return what_; }

  // A little-endian value; `field` names it in messages.
  template <typename T>
  T read(std::string_view field) {
    static_assert(std::is_arithmetic_v<T>);
    T value;
    std::memcpy(&value, take(sizeof(T), field).data(), sizeof(T));
    return value;
  }

  // Reads a 64-bit length, then so many bytes.
  std::string read_string(std::string_view field) {
    const auto length = read<uint64_t>(field);
    const auto bytes = take(length, field);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  // Throws kFormat unless `count` items of at least `min_bytes` each can follow.
  void require_items(uint64_t count, uint64_t min_bytes, std::string_view field) const {
    if (count > remaining() / min_bytes)
      fail(ErrorCode::kFormat, "{}: truncated or broken: {} {} at offset {}, only {} bytes follow", what_,
           count, field, position_, remaining());
  }

 private:
  std::span<const std::byte> take(uint64_t count, std::string_view field) {
    if (count > remaining())
      fail(ErrorCode::kFormat, "{}: truncated or broken: {} at offset {} takes {} bytes, only {} follow",
           what_, field, position_, count, remaining());
    const auto result = bytes_.subspan(position_, count);
    position_ += count;
    return result;
  }

  std::span<const std::byte> bytes_;
  std::string_view what_;
  uint64_t position_ = 0;
};

}  // namespace pare
