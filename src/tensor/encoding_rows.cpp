#include <cstring>

#include "base/bf16.h"
#include "tensor/encoding_blocks.h"

namespace pare::blocks {
namespace {

constexpr int kValues = 32;
constexpr int kScaleBits = 6;
constexpr int kZeroScale = 32;  // the bits of a scale of 0

// Decodes a row whose blocks have kBytes bytes; `level`(block, i) is the level of value i of a block.
template <int kBytes, typename Level>
void decode_row(const std::byte* source, int64_t cols, float* out, Level level) {
  f16 factor;
  std::memcpy(&factor, source, sizeof(factor));
  const int64_t blocks = cols / kValues;
  const auto* scales = reinterpret_cast<const uint8_t*>(source + sizeof(factor));
  const uint8_t* codes = scales + (blocks * kScaleBits + 7) / 8;
  for (int64_t b = 0; b < blocks; ++b, codes += kBytes, out += kValues) {
    const int64_t bit = b * kScaleBits;
    const int shift = static_cast<int>(bit % 8);
    uint32_t two = scales[bit / 8];
    if (shift > 8 - kScaleBits) two |= static_cast<uint32_t>(scales[bit / 8 + 1]) << 8;
    const float scale = to_f32(factor) * static_cast<float>(static_cast<int>(two >> shift & 63) - kZeroScale);
    for (int i = 0; i < kValues; ++i) out[i] = scale * static_cast<float>(level(codes, i));
  }
}

}  // namespace

// Codes are nibbles: value i of a block in the low half of byte i, value i + 16 in the high half.
void decode_q4n(const std::byte* source, int64_t cols, float* out) noexcept {
  decode_row<16>(source, cols, out,
                 [](const uint8_t* codes, int i) { return kIq4Levels[codes[i % 16] >> i / 16 * 4 & 15]; });
}

// Value 8k + j of a block has bits 2k and 2k + 1 of byte j, and above them bit j of byte 8 + k.
void decode_q3n(const std::byte* source, int64_t cols, float* out) noexcept {
  decode_row<12>(source, cols, out, [](const uint8_t* codes, int i) {
    return kQ3nLevels[(codes[i % 8] >> i / 8 * 2 & 3) | (codes[8 + i / 8] >> i % 8 & 1) << 2];
  });
}

}  // namespace pare::blocks
