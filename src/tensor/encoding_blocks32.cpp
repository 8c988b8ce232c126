#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/bf16.h"
#include "tensor/block_loop.h"
#include "tensor/encoding_blocks.h"

namespace pare::blocks {
namespace {

constexpr int kValues = 32;
constexpr int kHalf = kValues / 2;

// Packed values: byte i holds value i (low nibble) and value i + 16 (high nibble).
struct Q8_0 {
  f16 scale;
  int8_t q[kValues];
};
struct Q4_0 {
  f16 scale;
  uint8_t q[kHalf];
};
struct Q4_1 {
  f16 scale;
  f16 minimum;
  uint8_t q[kHalf];
};
struct Q5_0 {
  f16 scale;
  uint8_t high[4];  // bit i: the fifth bit of value i
  uint8_t q[kHalf];
};
struct Q5_1 {
  f16 scale;
  f16 minimum;
  uint8_t high[4];
  uint8_t q[kHalf];
};
static_assert(sizeof(Q8_0) == 34 && sizeof(Q4_0) == 18 && sizeof(Q4_1) == 20 && sizeof(Q5_0) == 22 &&
              sizeof(Q5_1) == 24);

// A scale that is a power of two, and values of 4 bits: a sign, two bits of an exponent, and a half.
struct MXFP4 {
  uint8_t exponent;
  uint8_t q[kHalf];
};
static_assert(sizeof(MXFP4) == 17);

// The fifth bits as 0 or 16.
struct FifthBits {
  uint8_t bits[kValues];
  explicit FifthBits(const uint8_t (&high)[4]) {
    for (int byte = 0; byte < 4; ++byte)
      for (int bit = 0; bit < 8; ++bit)
        bits[byte * 8 + bit] = static_cast<uint8_t>((high[byte] >> bit & 1) << 4);
  }
};

// Returns the factor by which values become steps of `step`; 0 for a block of zeros (or of values that vanish
// in f16).
float inverse(float step) {
  const float result = 1.0f / step;
  return std::isfinite(result) ? result : 0.0f;
}

}  // namespace

void decode_q8_0(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, Q8_0>(source, cols, out, [](const Q8_0& block, float* values) {
    const float scale = to_f32(block.scale);
    for (int i = 0; i < kValues; ++i) values[i] = scale * static_cast<float>(block.q[i]);
  });
}

void decode_q4_0(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, Q4_0>(source, cols, out, [](const Q4_0& block, float* values) {
    const float scale = to_f32(block.scale);
    for (int i = 0; i < kHalf; ++i) values[i] = scale * static_cast<float>((block.q[i] & 15) - 8);
    for (int i = 0; i < kHalf; ++i) values[kHalf + i] = scale * static_cast<float>((block.q[i] >> 4) - 8);
  });
}

void decode_q4_1(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, Q4_1>(source, cols, out, [](const Q4_1& block, float* values) {
    const float scale = to_f32(block.scale);
    const float minimum = to_f32(block.minimum);
    for (int i = 0; i < kHalf; ++i) values[i] = scale * static_cast<float>(block.q[i] & 15) + minimum;
    for (int i = 0; i < kHalf; ++i) values[kHalf + i] = scale * static_cast<float>(block.q[i] >> 4) + minimum;
  });
}

void decode_q5_0(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, Q5_0>(source, cols, out, [](const Q5_0& block, float* values) {
    const float scale = to_f32(block.scale);
    const FifthBits fifth(block.high);
    for (int i = 0; i < kHalf; ++i)
      values[i] = scale * static_cast<float>(((block.q[i] & 15) | fifth.bits[i]) - 16);
    for (int i = 0; i < kHalf; ++i)
      values[kHalf + i] = scale * static_cast<float>(((block.q[i] >> 4) | fifth.bits[kHalf + i]) - 16);
  });
}

void decode_q5_1(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, Q5_1>(source, cols, out, [](const Q5_1& block, float* values) {
    const float scale = to_f32(block.scale);
    const float minimum = to_f32(block.minimum);
    const FifthBits fifth(block.high);
    for (int i = 0; i < kHalf; ++i)
      values[i] = scale * static_cast<float>((block.q[i] & 15) | fifth.bits[i]) + minimum;
    for (int i = 0; i < kHalf; ++i)
      values[kHalf + i] = scale * static_cast<float>((block.q[i] >> 4) | fifth.bits[kHalf + i]) + minimum;
  });
}

void decode_iq4_nl(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, Q4_0>(source, cols, out, [](const Q4_0& block, float* values) {
    const float scale = to_f32(block.scale);
    for (int i = 0; i < kHalf; ++i) {
      values[i] = scale * static_cast<float>(kIq4Levels[block.q[i] & 15]);
      values[kHalf + i] = scale * static_cast<float>(kIq4Levels[block.q[i] >> 4]);
    }
  });
}

// Decodes to twice the level times half of 2^(exponent − 127): that half is a float for every exponent, and
// the product exact.
void decode_mxfp4(const std::byte* source, int64_t cols, float* out) noexcept {
  for_each_block<kValues, MXFP4>(source, cols, out, [](const MXFP4& block, float* values) {
    const float half_scale = std::ldexp(1.0f, block.exponent - 128);
    for (int i = 0; i < kHalf; ++i) {
      values[i] = half_scale * static_cast<float>(kTwiceMxfp4Levels[block.q[i] & 15]);
      values[kHalf + i] = half_scale * static_cast<float>(kTwiceMxfp4Levels[block.q[i] >> 4]);
    }
  });
}

// Encodes so that the largest magnitude becomes ±127.
void encode_q8_0(const float* source, int64_t cols, std::byte* destination) noexcept {
  for (int64_t begin = 0; begin < cols; begin += kValues, destination += sizeof(Q8_0)) {
    const float* values = source + begin;
    float largest = 0.0f;
    for (int i = 0; i < kValues; ++i) largest = std::max(largest, std::abs(values[i]));
    const float step = largest / 127.0f;
    const float factor = inverse(step);
    Q8_0 block;
    block.scale = to_f16(step);
    for (int i = 0; i < kValues; ++i) {
      const float scaled = values[i] * factor;
      const int whole = static_cast<int>(scaled);
      const int half = static_cast<int>(2.0f * (scaled - static_cast<float>(whole)));  // away from zero
      block.q[i] = static_cast<int8_t>(whole + half);
    }
    std::memcpy(destination, &block, sizeof(block));
  }
}

// Encodes so that the value of largest magnitude becomes −8 steps; the scale may be negative.
void encode_q4_0(const float* source, int64_t cols, std::byte* destination) noexcept {
  for (int64_t begin = 0; begin < cols; begin += kValues, destination += sizeof(Q4_0)) {
    const float* values = source + begin;
    float extreme = values[0];
    for (int i = 1; i < kValues; ++i)
      if (std::abs(values[i]) > std::abs(extreme)) extreme = values[i];
    const float step = extreme / -8.0f;
    const float factor = inverse(step);
    Q4_0 block;
    block.scale = to_f16(step);
    // A NaN becomes 15: std::min returns its first argument unless the second is less.
    const auto level = [&](float value) { return static_cast<int>(std::min(15.0f, value * factor + 8.5f)); };
    for (int i = 0; i < kHalf; ++i)
      block.q[i] = static_cast<uint8_t>(level(values[i]) | level(values[kHalf + i]) << 4);
    std::memcpy(destination, &block, sizeof(block));
  }
}

}  // namespace pare::blocks
