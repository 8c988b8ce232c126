#include "kernels/kv_rows.h"

#include <gtest/gtest.h>

#include <cstring>

namespace pare::test {
namespace {

TEST(KvRows, AreF32WhereProductsAre) {
  KvRows rows(3, 2, ComputeType::kF32);
  EXPECT_EQ(rows.bytes(), 3 * 2 * 4);
  const float row[] = {1.0f / 3.0f, -2e-30f};
  rows.set(1, row);
  rows.visit([&](const auto& m) {
    ASSERT_EQ(sizeof(m(1, 0)), sizeof(float));
    EXPECT_EQ(0, std::memcmp(m.row(1), row, sizeof(row)));
  });
}

TEST(KvRows, AreRoundedToBf16ElseAndTakeHalfTheBytes) {
  for (const ComputeType compute : {ComputeType::kBF16, ComputeType::kInt8}) {
    KvRows rows(40, 5, compute);
    EXPECT_EQ(rows.bytes(), 40 * 5 * 2);
    for (int64_t r = 0; r < 40; ++r) {
      float row[5];
      for (int64_t i = 0; i < 5; ++i) row[i] = static_cast<float>(5 * r + i) / 3.0f;
      rows.set(r, row);
    }
    rows.visit([&](const auto& m) {
      ASSERT_EQ(sizeof(m(0, 0)), sizeof(bf16));
      for (int64_t i = 0; i < m.size(); ++i) {
        const bf16 expected = to_bf16(static_cast<float>(i) / 3.0f);
        EXPECT_EQ(0, std::memcmp(m.data() + i, &expected, sizeof(expected))) << i;
      }
    });
  }
}

}  // namespace
}  // namespace pare::test
