#include "model/kv_cache.h"

#include <gtest/gtest.h>

namespace pare::test {
namespace {

TEST(KvRows, AreF32WhereProductsAre) {
  KvRows rows(3, 2, ComputeType::kF32);
  EXPECT_FALSE(rows.widens());
  EXPECT_EQ(rows.bytes(), 3 * 2 * 4);
  const float row[] = {1.0f / 3.0f, -2e-30f};
  rows.set(1, row);
  const float* kept = rows.rows(1, 1, nullptr);
  EXPECT_EQ(kept[0], row[0]);
  EXPECT_EQ(kept[1], row[1]);
}

TEST(KvRows, AreRoundedToBf16ElseAndTakeHalfTheBytes) {
  for (const ComputeType compute : {ComputeType::kBF16, ComputeType::kInt8}) {
    KvRows rows(40, 5, compute);
    EXPECT_TRUE(rows.widens());
    EXPECT_EQ(rows.bytes(), 40 * 5 * 2);
    for (int64_t r = 0; r < 40; ++r) {
      float row[5];
      for (int64_t i = 0; i < 5; ++i) row[i] = static_cast<float>(5 * r + i) / 3.0f;
      rows.set(r, row);
    }
    float scratch[20 * 5];
    EXPECT_EQ(rows.rows(7, 20, scratch), scratch);
    for (int64_t i = 0; i < 20 * 5; ++i)
      EXPECT_EQ(scratch[i], nearest_bf16(static_cast<float>(5 * 7 + i) / 3.0f)) << i;
  }
}

}  // namespace
}  // namespace pare::test
