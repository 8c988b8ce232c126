#include "kernels/cpu/attention_adjoint.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "kernels/cpu/attention_products.h"
#include "kernels/cpu/vector_ops.h"
#include "tensor/transposed.h"

namespace pare {
namespace {

constexpr int64_t kTileQueryRows = 64;  // rows of a tile: tokens × query heads of one KV head

// Copies rows [first, first + count), columns [col, col + width) of `from`.
Matrix<float> part_of(MatrixView<const float> from, int64_t first, int64_t count, int64_t col,
                      int64_t width) {
  return copy_of(from.block(first, col, count, width));
}

// One KV head of one sequence with the query heads that read it.
class HeadGradient {
 public:
  HeadGradient(Isa isa, const AttentionShape& shape, const AttentionGradients& rows, const Segment& segment,
               int64_t kv_head)
      : shape_(shape),
        rows_(rows),
        segment_(segment),
        ops_(vector_ops(isa)),
        products_(isa),
        group_(shape.heads / shape.kv_heads),
        kv_head_(kv_head),
        keys_(part_of(rows.k, segment.begin, segment.rows, kv_head * shape.head_dim, shape.head_dim)),
        values_(part_of(rows.v, segment.begin, segment.rows, kv_head * shape.value_head_dim,
                        shape.value_head_dim)),
        to_keys_(Matrix<float>::zeros(segment.rows, shape.head_dim)),
        to_values_(Matrix<float>::zeros(segment.rows, shape.value_head_dim)) {}

  void run() {
    const int64_t tokens = std::max<int64_t>(1, kTileQueryRows / group_);
    for (int64_t t = 0; t < segment_.rows; t += tokens) run_tile(t, std::min(tokens, segment_.rows - t));
    copy_rows(std::as_const(to_keys_).view(),
              rows_.dk.block(segment_.begin, kv_head_ * shape_.head_dim, segment_.rows, shape_.head_dim));
    copy_rows(std::as_const(to_values_).view(),
              rows_.dv.block(segment_.begin, kv_head_ * shape_.value_head_dim, segment_.rows,
                             shape_.value_head_dim));
  }

 private:
  // Rows of a tile: token by token, the query heads of a token one after another.
  Matrix<float> gathered(MatrixView<const float> from, int64_t first, int64_t tokens, int64_t width) const {
    Matrix<float> tile(tokens * group_, width);
    for (int64_t r = 0; r < tile.rows(); ++r)
      std::copy_n(from.row(segment_.begin + first + r / group_) + head(r) * width, width, tile.row(r));
    return tile;
  }

  void run_tile(int64_t first, int64_t tokens) {
    const int64_t dim = shape_.head_dim;
    const int64_t value_dim = shape_.value_head_dim;
    const int64_t keys = first + tokens;  // keys that the tile sees
    const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
    const Matrix<float> q = gathered(rows_.q, first, tokens, dim);
    const Matrix<float> dy = gathered(rows_.dy, first, tokens, value_dim);
    const int64_t n = q.rows();
    Matrix<float> p(n, keys);  // probabilities
    Matrix<float> ds(n, keys);
    products_.nt(n, keys, dim, scale, q.data(), dim, keys_.data(), dim, p.data(), keys);
    products_.nt(n, keys, value_dim, 1.0f, dy.data(), value_dim, values_.data(), value_dim, ds.data(), keys);
    for (int64_t r = 0; r < n; ++r) {
      const int64_t visible = first + r / group_ + 1;
      float* probabilities = p.row(r);
      float* gradient = ds.row(r);
      const float sum = ops_.exp_sum(probabilities, ops_.max(probabilities, visible), visible);
      ops_.scale(1.0f / sum, probabilities, visible);
      const float mean = ops_.dot(probabilities, gradient, visible);
      for (int64_t c = 0; c < visible; ++c) gradient[c] = scale * probabilities[c] * (gradient[c] - mean);
      std::fill(probabilities + visible, probabilities + keys, 0.0f);
      std::fill(gradient + visible, gradient + keys, 0.0f);
    }
    Matrix<float> dq = Matrix<float>::zeros(n, dim);
    products_.nn(n, dim, keys, ds.data(), keys, keys_.data(), dim, dq.data(), dim);
    for (int64_t r = 0; r < n; ++r)
      std::copy_n(dq.row(r), dim, rows_.dq.row(segment_.begin + first + r / group_) + head(r) * dim);
    const Matrix<float> ds_keys = transposed(std::as_const(ds).view());
    products_.nn(keys, dim, n, ds_keys.data(), n, q.data(), dim, to_keys_.data(), dim);
    const Matrix<float> p_keys = transposed(std::as_const(p).view());
    products_.nn(keys, value_dim, n, p_keys.data(), n, dy.data(), value_dim, to_values_.data(), value_dim);
  }

  int64_t head(int64_t r) const { return kv_head_ * group_ + r % group_; }

  const AttentionShape& shape_;
  const AttentionGradients& rows_;
  const Segment& segment_;
  const VectorOps& ops_;
  const AttentionProducts products_;
  int64_t group_;
  int64_t kv_head_;
  Matrix<float> keys_;
  Matrix<float> values_;
  Matrix<float> to_keys_;
  Matrix<float> to_values_;
};

}  // namespace

void attend_adjoint_in_tiles(Isa isa, const AttentionShape& shape, std::span<const Segment> segments,
                             const AttentionGradients& rows) {
  for (const Segment& segment : segments) PARE_CHECK(segment.first == 0);
  const auto sequences = static_cast<int64_t>(segments.size());
  parallel_for(sequences * shape.kv_heads, [&](int64_t i) {
    HeadGradient(isa, shape, rows, segments[static_cast<size_t>(i / shape.kv_heads)], i % shape.kv_heads)
        .run();
  });
}

}  // namespace pare
