#include "tensor/encoding.h"

#include <cstddef>
#include <cstring>

#include "base/bf16.h"
#include "base/error.h"

namespace pare {
namespace {

constexpr EncodingInfo kInfos[] = {
    {"f32", 1, 4}, {"f16", 1, 2}, {"bf16", 1, 2}, {"q8_0", 32, 34}, {"q4_0", 32, 18}, {"q4_1", 32, 20},
};

template <typename T>
T load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

template <typename T>
void decode_plain(const std::byte* source, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = to_f32(load<T>(source + i * 2));
}

// Value i of a 4-bit block is the low nibble of byte i, value i + 16 its high nibble (GGUF).
template <typename Value>
void decode_nibbles(const std::byte* packed, float* out, Value value) {
  for (int i = 0; i < 16; ++i) {
    const int byte = std::to_integer<int>(packed[i]);
    out[i] = value(byte & 15);
    out[i + 16] = value(byte >> 4);
  }
}

}  // namespace

const EncodingInfo& encoding_info(Encoding encoding) { return kInfos[static_cast<size_t>(encoding)]; }

int64_t row_bytes(Encoding encoding, int64_t cols) {
  const EncodingInfo& info = encoding_info(encoding);
  if (cols % info.block_values != 0)
    fail(ErrorCode::kFormat, "a row of {} values does not divide into {} blocks of {}", cols, info.name,
         info.block_values);
  return cols / info.block_values * info.block_bytes;
}

void decode_values(Encoding encoding, const void* source, int64_t cols, float* out) noexcept {
  const auto* bytes = static_cast<const std::byte*>(source);
  switch (encoding) {
    case Encoding::kF32:
      std::memcpy(out, bytes, static_cast<size_t>(cols) * 4);
      return;
    case Encoding::kF16:
      return decode_plain<f16>(bytes, cols, out);
    case Encoding::kBF16:
      return decode_plain<bf16>(bytes, cols, out);
    case Encoding::kQ8_0:
      for (int64_t i = 0; i < cols; i += 32, bytes += 34) {
        const float scale = to_f32(load<f16>(bytes));
        for (int j = 0; j < 32; ++j) out[i + j] = scale * static_cast<float>(load<int8_t>(bytes + 2 + j));
      }
      return;
    case Encoding::kQ4_0:
      for (int64_t i = 0; i < cols; i += 32, bytes += 18) {
        const float scale = to_f32(load<f16>(bytes));
        decode_nibbles(bytes + 2, out + i, [=](int q) { return scale * static_cast<float>(q - 8); });
      }
      return;
    case Encoding::kQ4_1:
      for (int64_t i = 0; i < cols; i += 32, bytes += 20) {
        const float scale = to_f32(load<f16>(bytes));
        const float minimum = to_f32(load<f16>(bytes + 2));
        decode_nibbles(bytes + 4, out + i, [=](int q) { return scale * static_cast<float>(q) + minimum; });
      }
      return;
  }
}

void encode_values(Encoding encoding, const float* source, int64_t cols, void* destination) {
  auto* bytes = static_cast<std::byte*>(destination);
  switch (encoding) {
    case Encoding::kF32:
      std::memcpy(bytes, source, static_cast<size_t>(cols) * 4);
      return;
    case Encoding::kF16:
      for (int64_t i = 0; i < cols; ++i) {
        const f16 value = to_f16(source[i]);
        std::memcpy(bytes + i * 2, &value, 2);
      }
      return;
    case Encoding::kBF16:
      for (int64_t i = 0; i < cols; ++i) {
        const bf16 value = to_bf16(source[i]);
        std::memcpy(bytes + i * 2, &value, 2);
      }
      return;
    default:
      PARE_CHECK(false && "encode_values: only f32, f16 and bf16 are written");
  }
}

}  // namespace pare
