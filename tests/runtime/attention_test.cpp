// Blocked attention against the formula in f64.
#include "runtime/attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "kernels/cpu/attention_products.h"

namespace pare::test {
namespace {

struct Shape {
  int64_t kv_heads, group, head_dim, value_head_dim;
};

Matrix<float> random_matrix(int64_t rows, int64_t cols, double deviation, Rng& rng) {
  Matrix<float> m(rows, cols);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = static_cast<float>(deviation * rng.normal());
  return m;
}

void fill(KvRows& cache, Rng& rng) {
  const Matrix<float> m = random_matrix(cache.capacity(), cache.dim(), 1.0, rng);
  for (int64_t r = 0; r < cache.capacity(); ++r) cache.set(r, m.row(r));
}

float value_of(float v) { return v; }
float value_of(bf16 v) { return to_f32(v); }

// What the cache of each head holds, in f32.
std::vector<Matrix<float>> in_f32(const std::vector<KvRows>& heads) {
  std::vector<Matrix<float>> all;
  for (const KvRows& head : heads) {
    Matrix<float>& m = all.emplace_back(head.capacity(), head.dim());
    head.visit([&](const auto& rows) {
      for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = value_of(rows.data()[i]);
    });
  }
  return all;
}

struct Held {
  std::vector<Matrix<float>> keys, values;  // by KV head
  explicit Held(const KvLayer& kv) : keys(in_f32(kv.keys)), values(in_f32(kv.values)) {}
};

// out[t, h·value_head_dim ..] of the query at position `first` + t.
std::vector<double> naive(const PackedAttention& a, const Held& kv, const float* query, int64_t head,
                          int64_t keys) {
  const auto h = static_cast<size_t>(head / (a.heads / a.kv_heads));
  std::vector<double> scores(static_cast<size_t>(keys));
  double top = -INFINITY;
  for (int64_t k = 0; k < keys; ++k) {
    double dot = 0.0;
    for (int64_t i = 0; i < a.head_dim; ++i)
      dot += static_cast<double>(query[head * a.head_dim + i]) * kv.keys[h](k, i);
    scores[static_cast<size_t>(k)] = dot / std::sqrt(static_cast<double>(a.head_dim));
    top = std::max(top, scores[static_cast<size_t>(k)]);
  }
  std::vector<double> out(static_cast<size_t>(a.value_head_dim));
  double sum = 0.0;
  for (int64_t k = 0; k < keys; ++k) {
    const double p = std::exp(scores[static_cast<size_t>(k)] - top);
    sum += p;
    for (int64_t i = 0; i < a.value_head_dim; ++i) out[static_cast<size_t>(i)] += p * kv.values[h](k, i);
  }
  for (double& v : out) v /= sum;
  return out;
}

// Two sequences in one batch: `rows` queries after `past` tokens, and one query after `rows` tokens.
void check(const Shape& s, int64_t past, int64_t rows, double score_deviation,
           ComputeType compute = ComputeType::kF32) {
  SCOPED_TRACE(testing::Message() << past << " + " << rows << " keys, group " << s.group << ", dims "
                                  << s.head_dim << " and " << s.value_head_dim);
  Rng rng(7);
  PackedAttention a;
  a.kv_heads = s.kv_heads;
  a.heads = s.kv_heads * s.group;
  a.head_dim = s.head_dim;
  a.value_head_dim = s.value_head_dim;
  a.compute = compute;
  KvLayer first(a, past + rows);
  KvLayer second(a, rows + 1);
  for (KvLayer* kv : {&first, &second})
    for (int64_t h = 0; h < s.kv_heads; ++h) {
      const auto i = static_cast<size_t>(h);
      fill(kv->keys[i], rng);
      fill(kv->values[i], rng);
    }
  const Segment segments[] = {{0, rows, past, &first}, {rows, 1, rows, &second}};
  const Matrix<float> queries = random_matrix(rows + 1, a.heads * s.head_dim, score_deviation, rng);
  Matrix<float> out(rows + 1, a.heads * s.value_head_dim);
  attend(a, segments, queries.view(), out.view());
  // Scores of a few units carry an f32 error of about 1e-6, and outputs are averages of values around 1.
  const double tolerance = 1e-5 * std::max(1.0, score_deviation);
  const Held held_first(first);
  const Held held_second(second);
  for (int64_t t = 0; t <= rows; ++t) {
    const Held& kv = t < rows ? held_first : held_second;
    const int64_t keys = t < rows ? past + t + 1 : rows + 1;
    for (int64_t h = 0; h < a.heads; ++h) {
      const auto expected = naive(a, kv, queries.row(t), h, keys);
      for (int64_t i = 0; i < s.value_head_dim; ++i)
        ASSERT_NEAR(out(t, h * s.value_head_dim + i), expected[static_cast<size_t>(i)], tolerance)
            << t << " " << h << " " << i;
    }
  }
}

TEST(Attention, RaggedNumbersOfKeys) {
  for (const Shape& shape : {Shape{2, 1, 16, 16}, Shape{1, 3, 10, 7}, Shape{2, 3, 8, 21}})
    for (const int64_t keys : {1, 2, 63, 64, 65, 255, 256, 257}) {
      check(shape, 0, keys, 1.0);      // a whole prompt
      check(shape, keys - 1, 1, 1.0);  // one more token
    }
}

TEST(Attention, PromptsThatContinue) {
  for (const int64_t past : {1, 63, 200, 256, 300})
    for (const int64_t rows : {2, 21, 65}) check({2, 3, 8, 12}, past, rows, 1.0);
}

// The largest score moves from block to block: the running maximum must be corrected.
TEST(Attention, LargeScores) { check({1, 2, 16, 8}, 10, 600, 12.0); }

// Fewer rows than go to bf16 tiles: only keys and values are rounded, and the formula sees them rounded too.
TEST(Attention, CacheInBf16) {
  for (const Shape& shape : {Shape{2, 1, 16, 16}, Shape{1, 3, 10, 7}, Shape{2, 3, 8, 21}})
    for (const int64_t past : {0, 1, 62, 63, 64, 255, 256, 300})
      for (const int64_t rows : {1, 2, 3, 5}) {
        ASSERT_LT(rows * shape.group, kTileQueries);
        check(shape, past, rows, 1.0, ComputeType::kBF16);
      }
}

TEST(Attention, MoreHeadsThanATileHolds) { check({1, 80, 4, 4}, 3, 5, 1.0); }

}  // namespace
}  // namespace pare::test
