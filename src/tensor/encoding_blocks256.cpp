
#include "base/bf16.h"
#include "tensor/block_loop.h"
#include "tensor/encoding_blocks.h"

namespace pare::blocks {
namespace {

constexpr int kValues = 256;

struct Q2K {
  uint8_t scales[16];  // one byte for 16 values: scale (low nibble), minimum (high nibble)
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
struct IQ4XS {
  f16 scale;
  uint8_t scales_high[2];
  uint8_t scales_low[4];
  uint8_t q[128];
};
struct TQ1_0 {
  uint8_t q[48];
  uint8_t rest[4];
  f16 scale;
};
struct TQ2_0 {
  uint8_t q[64];
  f16 scale;
};
static_assert(sizeof(IQ4XS) == 136 && sizeof(TQ1_0) == 54 && sizeof(TQ2_0) == 66);
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

// Returns the digit to the base 3 that `power` = 3^n brings to the front of a byte of TQ1_0, less 1: the byte
// is a fraction of 256.
float ternary(uint8_t packed, int power) {
  const int front = (packed * power) & 0xff;
  return static_cast<float>((front * 3 >> 8) - 1);
}

// Decodes the eight parts of a Q4_K or Q5_K block; high(part, i) is what a value has above its nibble.
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

// A block is as in Q2_K, with a third bit that lowers the value by 4 where it is 0, and 6-bit scales
// around 32.
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

// A block is as in Q4_K, with the fifth bits of part p in bit p.
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

// Parts of 32 values as IQ4_NL has them, with 6-bit scales around 32: nibbles of scales_low, above them two
// bits each of scales_high.
void decode_iq4_xs(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, IQ4XS>(source, cols, out, [](const IQ4XS& block, float* values) {
    const float scale = to_f32(block.scale);
    for (int part = 0; part < 8; ++part) {
      const int low = block.scales_low[part / 2] >> part % 2 * 4 & 15;
      const int high = block.scales_high[part / 4] >> part % 4 * 2 & 3;
      const float s = scale * static_cast<float>((low | high << 4) - 32);
      const uint8_t* q = block.q + part * 16;
      for (int i = 0; i < 16; ++i) {
        values[part * 32 + i] = s * static_cast<float>(kIq4Levels[q[i] & 15]);
        values[part * 32 + 16 + i] = s * static_cast<float>(kIq4Levels[q[i] >> 4]);
      }
    }
  });
}

// Digits to the base 3: value 32·n + j is digit n of byte j < 32, value 160 + 16·n + j that of byte 32 + j,
// five digits each, and value 240 + 4·n + j digit n of the four bytes of `rest`.
void decode_tq1_0(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, TQ1_0>(source, cols, out, [](const TQ1_0& block, float* values) {
    constexpr int kPowers[5] = {1, 3, 9, 27, 81};
    const float scale = to_f32(block.scale);
    for (int n = 0; n < 5; ++n) {
      for (int j = 0; j < 32; ++j) values[n * 32 + j] = scale * ternary(block.q[j], kPowers[n]);
      for (int j = 0; j < 16; ++j) values[160 + n * 16 + j] = scale * ternary(block.q[32 + j], kPowers[n]);
    }
    for (int n = 0; n < 4; ++n)
      for (int j = 0; j < 4; ++j) values[240 + n * 4 + j] = scale * ternary(block.rest[j], kPowers[n]);
  });
}

// Values 128·h + 32·k + j are bits 2k and 2k + 1 of byte 32·h + j, around 1.
void decode_tq2_0(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, TQ2_0>(source, cols, out, [](const TQ2_0& block, float* values) {
    const float scale = to_f32(block.scale);
    for (int part = 0; part < 8; ++part) {
      const uint8_t* q = block.q + part / 4 * 32;
      const int shift = part % 4 * 2;
      for (int i = 0; i < 32; ++i)
        values[part * 32 + i] = scale * static_cast<float>((q[i] >> shift & 3) - 1);
    }
  });
}

}  // namespace pare::blocks
