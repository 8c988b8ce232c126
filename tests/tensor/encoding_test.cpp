#include "tensor/encoding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/bf16.h"
#include "tensor/weight.h"

namespace pare {
namespace {

TEST(HalfTypes, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const f16 h{static_cast<uint16_t>(bits)};
    const float value = to_f32(h);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(to_f32(to_f16(value))));
    } else {
      EXPECT_EQ(to_f16(value).bits, bits);
    }
    const bf16 b{static_cast<uint16_t>(bits)};
    if (!std::isnan(to_f32(b))) {
      EXPECT_EQ(to_bf16(to_f32(b)).bits, bits);
    }
  }
}

TEST(HalfTypes, RoundToNearestEven) {
  EXPECT_EQ(to_f32(to_f16(1.0f + 0x1p-11f)), 1.0f);                // tie goes to even
  EXPECT_EQ(to_f32(to_f16(1.0f + 3 * 0x1p-11f)), 1.0f + 0x1p-9f);  // tie goes to even, upwards
  EXPECT_EQ(to_f32(to_f16(65519.0f)), 65504.0f);
  EXPECT_TRUE(std::isinf(to_f32(to_f16(65520.0f))));
  EXPECT_EQ(to_f32(to_f16(0x1p-25f)), 0.0f);  // half of the smallest subnormal: tie to zero
  EXPECT_EQ(to_f32(to_bf16(1.0f + 0x1p-8f)), 1.0f);
  EXPECT_EQ(to_f32(to_bf16(1.0f + 3 * 0x1p-8f)), 1.0f + 0x1p-6f);
  EXPECT_TRUE(std::isnan(to_f32(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(Weight, EncodesAndDecodesRows) {
  Matrix<float> m(3, 5);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = static_cast<float>(i) * 0.25f - 1.0f;
  for (const Encoding e : {Encoding::kF32, Encoding::kF16, Encoding::kBF16}) {
    const Weight w = Weight::from_matrix(m.view(), e);
    EXPECT_EQ(w.bytes(), 15 * encoding_info(e).block_bytes);
    const Matrix<float> back = decode(w);
    for (int64_t i = 0; i < m.size(); ++i) EXPECT_EQ(back.data()[i], m.data()[i]);
  }
}

TEST(Encoding, Q4BlocksFollowTheGgufLayout) {
  // scale 2, minimum −1; byte i holds value i (low) and value i + 16 (high).
  std::vector<uint8_t> block = {0x00, 0x40, 0x00, 0xbc};
  for (int i = 0; i < 16; ++i) block.push_back(static_cast<uint8_t>(i | ((15 - i) << 4)));
  std::vector<float> out(32);
  decode_values(Encoding::kQ4_1, block.data(), 32, out.data());
  EXPECT_EQ(out[3], 2.0f * 3 - 1);
  EXPECT_EQ(out[16 + 3], 2.0f * 12 - 1);
}

}  // namespace
}  // namespace pare
