
#include "base/bf16.h"
#include "tensor/block_loop.h"
#include "tensor/encoding_blocks.h"

namespace pare::blocks {
namespace {

constexpr int kValues = 256;

struct Q2K {
  uint8_t scales[16];  // of 16 values each: scale (low nibble), minimum (high nibble)
  uint8_t q[64];
  f16 scale;
  f16 minimum;
};
struct Q3K {
  uint8_t high[32];
  uint8_t q[64];
  uint8_t scales[12];
  f16 scale;
};
struct Q4K {
  f16 scale;
  f16 minimum;
  uint8_t scales[12];
  uint8_t q[128];
};
struct Q5K {
  f16 scale;
  f16 minimum;
  uint8_t scales[12];
  uint8_t high[32];
  uint8_t q[128];
};
struct Q6K {
  uint8_t low[128];
  uint8_t high[64];
  int8_t scales[16];
  f16 scale;
};
static_assert(sizeof(Q2K) == 84 && sizeof(Q3K) == 110 && sizeof(Q4K) == 144 && sizeof(Q5K) == 176 &&
              sizeof(Q6K) == 210);

// Scales and minima of Q4_K and Q5_K, 6 bits each: part p < 4 has the low six bits of byte p and p + 4; part
// p + 4 has the nibbles of byte p + 8, and above them the top two bits of the bytes of part p.
struct PartScales {
  float scale[8];
  float minimum[8];
  PartScales(const uint8_t (&packed)[12], float scale_unit, float minimum_unit) {
    for (int p = 0; p < 4; ++p) {
      scale[p] = scale_unit * static_cast<float>(packed[p] & 63);
      minimum[p] = minimum_unit * static_cast<float>(packed[p + 4] & 63);
      scale[p + 4] = scale_unit * static_cast<float>((packed[p + 8] & 15) | (packed[p] >> 6) << 4);
      minimum[p + 4] = minimum_unit * static_cast<float>((packed[p + 8] >> 4) | (packed[p + 4] >> 6) << 4);
    }
  }
};

// The eight parts of a Q4_K or Q5_K block; high(part, i) is what a value has above its nibble.
template <typename Block, typename High>
void decode_nibbles(const Block& block, float* values, High high) {
  const PartScales scales(block.scales, to_f32(block.scale), to_f32(block.minimum));
  for (int part = 0; part < 8; ++part) {
    const float s = scales.scale[part];
    const float m = scales.minimum[part];
    const uint8_t* q = block.q + part / 2 * 32;
    const int shift = part % 2 * 4;
    for (int i = 0; i < 32; ++i)
      values[part * 32 + i] = s * static_cast<float>((q[i] >> shift & 15) | high(part, i)) - m;
  }
}

}  // namespace

// Values 128·h + 32·k + j are bits 2k and 2k + 1 of byte 32·h + j.
void decode_q2_k(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, Q2K>(source, cols, out, [](const Q2K& block, float* values) {
    const float scale = to_f32(block.scale);
    const float minimum = to_f32(block.minimum);
    for (int part = 0; part < 16; ++part) {
      const float s = scale * static_cast<float>(block.scales[part] & 15);
      const float m = minimum * static_cast<float>(block.scales[part] >> 4);
      const uint8_t* q = block.q + part / 8 * 32 + part % 2 * 16;
      const int shift = part % 8 / 2 * 2;
      for (int i = 0; i < 16; ++i) values[part * 16 + i] = s * static_cast<float>(q[i] >> shift & 3) - m;
    }
  });
}

// As Q2_K, with a third bit that lowers the value by 4 where it is 0, and 6-bit scales around 32.
void decode_q3_k(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, Q3K>(source, cols, out, [](const Q3K& block, float* values) {
    const float scale = to_f32(block.scale);
    for (int part = 0; part < 16; ++part) {
      const int low = block.scales[part % 8] >> part / 8 * 4 & 15;
      const int high = block.scales[8 + part % 4] >> part / 4 * 2 & 3;
      const float s = scale * static_cast<float>((low | high << 4) - 32);
      const uint8_t* q = block.q + part / 8 * 32 + part % 2 * 16;
      const uint8_t* third = block.high + part % 2 * 16;
      const int shift = part % 8 / 2 * 2;
      const int bit = part / 2;
      for (int i = 0; i < 16; ++i)
        values[part * 16 + i] = s * static_cast<float>((q[i] >> shift & 3) + (third[i] >> bit & 1) * 4 - 4);
    }
  });
}

// Values 64·c + j are the low nibbles of bytes 32·c + j, values 64·c + 32 + j the high ones.
void decode_q4_k(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, Q4K>(source, cols, out, [](const Q4K& block, float* values) {
    decode_nibbles(block, values, [](int, int) { return 0; });
  });
}

// As Q4_K, with the fifth bits of part p in bit p.
void decode_q5_k(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, Q5K>(source, cols, out, [](const Q5K& block, float* values) {
    decode_nibbles(block, values, [&](int part, int i) { return (block.high[i] >> part & 1) << 4; });
  });
}

// Values 128·h + 64·n + j: nibble n of byte 64·h + j, and above it two bits of `high` as in Q2_K; around 32.
void decode_q6_k(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, Q6K>(source, cols, out, [](const Q6K& block, float* values) {
    const float scale = to_f32(block.scale);
    for (int part = 0; part < 16; ++part) {
      const float s = scale * static_cast<float>(block.scales[part]);
      const uint8_t* low = block.low + part / 8 * 64 + part % 4 * 16;
      const uint8_t* high = block.high + part / 8 * 32 + part % 2 * 16;
      const int nibble = part % 8 / 4 * 4;
      const int shift = part % 8 / 2 * 2;
      for (int i = 0; i < 16; ++i)
        values[part * 16 + i] =
            s * static_cast<float>(((low[i] >> nibble & 15) | (high[i] >> shift & 3) << 4) - 32);
    }
  });
}

}  // namespace pare::blocks
