#include "kernels/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/parallel.h"
#include "kernels/cpu/attention_products.h"
#include "kernels/cpu/vector_ops.h"
#include "kernels/kv_rows.h"

namespace pare {
namespace {

constexpr int64_t kKeyBlock = 256;  // keys of a step
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// One tile: `tokens` query tokens × all query heads of one KV head. Row r = token · group + head in group.
class Tile {
 public:
  Tile(Isa isa, const AttentionShape& shape, int64_t kv_head, int64_t tokens)
      : shape_(shape),
        ops_(vector_ops(isa)),
        products_(isa),
        group_(shape.heads / shape.kv_heads),
        kv_head_(kv_head),
        rows_(tokens * group_),
        queries_(rows_, shape.head_dim),
        scores_(rows_, kKeyBlock),
        out_(Matrix<float>::zeros(rows_, shape.value_head_dim)),
        max_(static_cast<size_t>(rows_), kMinusInfinity),
        sum_(static_cast<size_t>(rows_), 0.0f) {}

  void load(MatrixView<const float> queries) {
    for (int64_t r = 0; r < rows_; ++r)
      std::memcpy(queries_.row(r), queries.row(token(r)) + head(r) * shape_.head_dim,
                  static_cast<size_t>(shape_.head_dim) * sizeof(float));
  }

  // Adds the keys [begin, end) of the cache; row r sees positions up to first_position + its token.
  void step(const HostKvStore& cache, int64_t begin, int64_t end, int64_t first_position) {
    const int64_t n = end - begin;
    const auto h = static_cast<size_t>(kv_head_);
    const float scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_dim));
    cache.keys[h].visit([&](const auto& keys) {
      products_.nt(rows_, n, shape_.head_dim, scale, queries_.data(), shape_.head_dim, keys.row(begin),
                   shape_.head_dim, scores_.data(), kKeyBlock);
    });
    for (int64_t r = 0; r < rows_; ++r) {
      const int64_t visible = std::min(n, first_position + token(r) + 1 - begin);
      float* row = scores_.row(r);
      if (visible <= 0) {
        std::memset(row, 0, static_cast<size_t>(n) * sizeof(float));
        continue;
      }
      float& running_max = max_[static_cast<size_t>(r)];
      const float new_max = std::max(running_max, ops_.max(row, visible));
      float& sum = sum_[static_cast<size_t>(r)];
      if (running_max != kMinusInfinity && new_max != running_max) {
        const float correction = std::exp(running_max - new_max);
        sum *= correction;
        ops_.scale(correction, out_.row(r), shape_.value_head_dim);
      }
      running_max = new_max;
      sum += ops_.exp_sum(row, new_max, visible);
      std::memset(row + visible, 0, static_cast<size_t>(n - visible) * sizeof(float));
    }
    cache.values[h].visit([&](const auto& values) {
      products_.nn(rows_, shape_.value_head_dim, n, scores_.data(), kKeyBlock, values.row(begin),
                   shape_.value_head_dim, out_.data(), shape_.value_head_dim);
    });
  }

  void store(MatrixView<float> out) {
    for (int64_t r = 0; r < rows_; ++r) {
      ops_.scale(1.0f / sum_[static_cast<size_t>(r)], out_.row(r), shape_.value_head_dim);
      std::memcpy(out.row(token(r)) + head(r) * shape_.value_head_dim, out_.row(r),
                  static_cast<size_t>(shape_.value_head_dim) * sizeof(float));
    }
  }

 private:
  int64_t token(int64_t r) const { return r / group_; }
  int64_t head(int64_t r) const { return kv_head_ * group_ + r % group_; }

  const AttentionShape& shape_;
  const VectorOps& ops_;
  const AttentionProducts products_;
  int64_t group_;
  int64_t kv_head_;
  int64_t rows_;
  Matrix<float> queries_;
  Matrix<float> scores_;
  Matrix<float> out_;
  std::vector<float> max_;
  std::vector<float> sum_;
};

}  // namespace

void attend_in_blocks(Isa isa, const AttentionShape& shape, std::span<const Segment> segments,
                      MatrixView<const float> queries, MatrixView<float> out) {
  int64_t longest = 0;
  for (const Segment& segment : segments) longest = std::max(longest, segment.rows);
  const int64_t group = shape.heads / shape.kv_heads;
  const int64_t tile_tokens = std::max<int64_t>(
      1, AttentionProducts(isa).best_rows(longest * group, narrow_cache(shape.compute)) / group);
  struct Task {
    const Segment* segment;
    int64_t begin;  // first token of the tile, within the segment
    int64_t kv_head;
  };
  std::vector<Task> tasks;
  for (const Segment& segment : segments)
    for (int64_t begin = 0; begin < segment.rows; begin += tile_tokens)
      for (int64_t h = 0; h < shape.kv_heads; ++h) tasks.push_back({&segment, begin, h});
  parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t index) {
    const Task& task =
        tasks[tasks.size() - 1 - static_cast<size_t>(index)];  // later tiles see more keys: they come first
    const Segment& segment = *task.segment;
    const int64_t count = std::min(tile_tokens, segment.rows - task.begin);
    Tile tile(isa, shape, task.kv_head, count);
    const int64_t row = segment.begin + task.begin;
    tile.load(queries.rows_of(row, count));
    const int64_t first = segment.first + task.begin;
    const int64_t keys = first + count;
    for (int64_t k = 0; k < keys; k += kKeyBlock)
      tile.step(host_store(segment), k, std::min(keys, k + kKeyBlock), first);
    tile.store(out.rows_of(row, count));
  });
}

}  // namespace pare
