#include "runtime/packed_model.h"

#include <gtest/gtest.h>

#include "model/visit.h"
#include "support/tiny_model.h"

namespace pare {
namespace {

// Widths that need no padding.
Model whole_tiles() {
  return test::make_tiny_model({.width = 64, .heads = 4, .kv_heads = 2, .head_dim = 16, .intermediate = 96});
}

Model two_of_four(Model model) {
  for (Block& block : model.blocks)
    for (Stage& stage : block.stages)
      for_each_linear(stage, [](Role, Linear& linear) {
        Matrix<float> values = decode(linear.weight);
        for (int64_t i = 0; i < values.size(); i += 4) values.data()[i + i % 3] = values.data()[i + 3] = 0.0f;
        linear.weight = Weight::from_matrix(std::as_const(values).view());
      });
  return model;
}

int64_t head_bytes(const PackedModel& model) { return model.head.logits->bytes(); }

TEST(PackedModel, TwoOfFourTakesNineSixteenths) {
  if (default_backend().detail() == "reference") GTEST_SKIP() << "no 2:4 kernel below AVX2";
  const PackedModel dense(whole_tiles(), ComputeType::kBF16);
  const PackedModel sparse(two_of_four(whole_tiles()), ComputeType::kBF16);
  EXPECT_EQ(head_bytes(sparse), head_bytes(dense));
  EXPECT_EQ(16 * (sparse.bytes_per_token() - head_bytes(sparse)),
            9 * (dense.bytes_per_token() - head_bytes(dense)));
}

TEST(PackedModel, ListsEveryLinear) {
  const PackedModel model(whole_tiles(), ComputeType::kBF16);
  EXPECT_EQ(model.linears().size(), 2u * 4 + 1);
  EXPECT_EQ(model.linears().back(), model.head.logits.get());
  int64_t bytes = 0;
  for (const PackedLinear* linear : model.linears()) bytes += linear->bytes();
  EXPECT_EQ(model.bytes_per_token(), bytes);  // no biases
}

}  // namespace
}  // namespace pare
