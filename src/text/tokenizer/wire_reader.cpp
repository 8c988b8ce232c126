#include "text/tokenizer/wire_reader.h"

#include "base/error.h"

namespace pare {
namespace {

constexpr const char* kCut = "tokenizer.model: cut short inside a field";

}  // namespace

uint64_t WireReader::read_varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) fail(ErrorCode::kFormat, "{}", kCut);
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    if (shift == 63 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  fail(ErrorCode::kFormat, "tokenizer.model: a number is longer than 64 bits");
}

uint64_t WireReader::read_fixed(size_t bytes) {
  if (rest_.size() < bytes) fail(ErrorCode::kFormat, "{}", kCut);
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(static_cast<uint8_t>(rest_[i])) << 8 * i;
  rest_.remove_prefix(bytes);
  return value;
}

std::optional<WireField> WireReader::next() {
  if (rest_.empty()) return std::nullopt;
  const uint64_t tag = read_varint();
  WireField field;
  if (tag >> 3 == 0 || tag >> 32 != 0) fail(ErrorCode::kFormat, "tokenizer.model: field number {}", tag >> 3);
  field.number = static_cast<uint32_t>(tag >> 3);
  field.type = static_cast<WireField::Type>(tag & 7);
  switch (field.type) {
    case WireField::Type::kVarint:
      field.value = read_varint();
      return field;
    case WireField::Type::kFixed64:
      field.value = read_fixed(8);
      return field;
    case WireField::Type::kFixed32:
      field.value = read_fixed(4);
      return field;
    case WireField::Type::kBytes: {
      const uint64_t size = read_varint();
      if (size > rest_.size()) fail(ErrorCode::kFormat, "{}", kCut);
      field.bytes = rest_.substr(0, size);
      rest_.remove_prefix(size);
      return field;
    }
  }
  fail(ErrorCode::kFormat, "tokenizer.model: field {} has the unknown wire type {}", field.number, tag & 7);
}

}  // namespace pare
