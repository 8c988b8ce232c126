// Reading protobuf's wire format from untrusted bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace pare {

struct WireField {
  uint32_t number = 0;
  enum class Type { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 } type = Type::kVarint;
  uint64_t value = 0;      // value of a number, as it stands
  std::string_view bytes;  // content of kBytes
};

// The fields of one message, in the order of the file.
class WireReader {
 public:
  explicit WireReader(std::string_view message) : rest_(message) {}
  // Returns nothing at the end. Throws kFormat when the message is cut short, a number has more than 64 bits,
  // or a type or field number is not one.
  std::optional<WireField> next();

 private:
  uint64_t read_varint();
  uint64_t read_fixed(size_t bytes);

  std::string_view rest_;
};

}  // namespace pare
