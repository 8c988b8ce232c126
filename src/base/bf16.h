// bfloat16 and IEEE half as storage types: bit patterns with conversions, no arithmetic.
#pragma once

#include <bit>
#include <cstdint>

namespace pare {

struct bf16 {
  uint16_t bits = 0;
};
struct f16 {
  uint16_t bits = 0;
};

inline float to_f32(bf16 v) { return std::bit_cast<float>(static_cast<uint32_t>(v.bits) << 16); }

// Rounds to nearest even; NaN stays NaN (quieted). Without branches, so that loops over it vectorise.
inline bf16 to_bf16(float v) {
  const uint32_t u = std::bit_cast<uint32_t>(v);
  const uint32_t nearest = u + 0x7fffu + ((u >> 16) & 1u);
  return {static_cast<uint16_t>(((u & 0x7fffffffu) > 0x7f800000u ? u | 0x400000u : nearest) >> 16)};
}

// Returns the nearest bf16 value; the rest of v is at most 2⁻⁹ of it.
inline float nearest_bf16(float v) { return to_f32(to_bf16(v)); }

// Converts without branches, so that loops over it vectorise.
inline float to_f32(f16 h) {
  const uint32_t sign = static_cast<uint32_t>(h.bits & 0x8000u) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(h.bits & 0x7fffu) << 13;
  const uint32_t normal = magnitude + (112u << 23);
  const uint32_t special = normal + (112u << 23);  // infinity, NaN: the largest exponent stays the largest
  // Subnormal: as the fraction of a number with exponent −14, minus that number; exact in f32.
  const float subnormal = std::bit_cast<float>(magnitude + (113u << 23)) - 0x1p-14f;
  const uint32_t finite = magnitude < (1u << 23) ? std::bit_cast<uint32_t>(subnormal) : normal;
  return std::bit_cast<float>(sign | (magnitude < (31u << 23) ? finite : special));
}

// Rounds to nearest even; overflow gives infinity, NaN stays NaN (quieted).
inline f16 to_f16(float v) {
  const uint32_t u = std::bit_cast<uint32_t>(v);
  const uint16_t sign = static_cast<uint16_t>((u >> 16) & 0x8000u);
  const uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu))};
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};
  if (magnitude < 0x38800000u) {  // subnormal half: adding 0.5 lets the f32 adder do the rounding
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u);
  return {static_cast<uint16_t>(sign | (rounded >> 13))};
}

}  // namespace pare
