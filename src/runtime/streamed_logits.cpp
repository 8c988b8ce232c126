#include "runtime/streamed_logits.h"

#include <algorithm>
#include <cmath>

#include "runtime/forward.h"

namespace pare {
namespace {

constexpr int64_t kHeadRows = 4096;

Weight edited(const WeightEdit& edit, Role role, int64_t block, const Weight& weight) {
  return edit && !weight.empty() ? edit({role, block, false}, weight) : weight;
}

// Returns x (tokens, in)·Wᵀ + b, (tokens, out), a few rows of W at a time.
Matrix<float> apply_streamed(const Weight& weight, const WeightEdit& edit, Role role,
                             MatrixView<const float> x, const std::vector<float>& bias = {}) {
  Matrix<float> y(x.rows, weight.rows);
  for (int64_t first = 0; first < weight.rows; first += kHeadRows) {
    const int64_t count = std::min(kHeadRows, weight.rows - first);
    const Weight part = edited(edit, role, -1, rows_of(weight, first, count));
    const std::vector<float> part_bias =
        bias.empty() ? bias : std::vector<float>(bias.begin() + first, bias.begin() + first + count);
    default_backend()
        .pack_linear(std::span(&part, 1), part_bias, ComputeType::kF32)
        ->apply(x, y.view().block(0, first, x.rows, count));
  }
  return y;
}

Matrix<float> run_stage(Stage stage, int64_t block, size_t index, const WeightEdit& edit,
                        MatrixView<const float> x, const RotaryTable& rope) {
  for_each_linear(
      stage, [&](Role role, Linear& linear) { linear.weight = edited(edit, role, block, linear.weight); });
  stage.skip = edited(edit, skip_role(index), block, stage.skip);
  const PackedStage packed = pack_stage(stage, x.cols, ComputeType::kF32);
  return run_sequences(packed, x, x.rows, rope);
}

}  // namespace

Matrix<float> streamed_logits(const Model& model, std::span<const int32_t> tokens, const WeightEdit& edit,
                              const StageEdit& stage_edit) {
  const auto count = static_cast<int64_t>(tokens.size());
  const RotaryTable rope = sequence_rope(model.config, 1, count);
  const std::vector<int64_t> rows(tokens.begin(), tokens.end());
  const Weight seen = edited(edit, Role::kEmbedding, -1, gather_rows(model.embedding, rows));
  Matrix<float> x = decode(seen);
  PARE_CHECK(x.rows() == count);
  if (!model.embedding_transform.empty())
    x = apply_streamed(model.embedding_transform, edit, Role::kEmbeddingTransform, x.view());
  x = with_positions(edited(edit, Role::kPositions, -1, model.positions), model.config.position_offset,
                     sequence_positions(1, count), std::move(x));
  for (size_t b = 0; b < model.blocks.size(); ++b)
    for (size_t s = 0; s < model.blocks[b].stages.size(); ++s) {
      const Stage& stage = model.blocks[b].stages[s];
      x = run_stage(stage_edit ? stage_edit(stage) : stage, static_cast<int64_t>(b), s, edit, x.view(), rope);
    }
  apply_norm(model.final_norm, x.view(), x.view());
  if (!model.head_transform.empty())
    x = apply_streamed(model.head_transform, edit, Role::kHeadTransform, x.view());
  // A tied head is the embedding, edited or not.
  const Role head = model.head_role();
  return apply_streamed(model.head_weight(), edit, head, x.view(), model.head_bias);
}

double relative_difference(MatrixView<const float> a, MatrixView<const float> b) {
  PARE_CHECK(a.rows == b.rows && a.cols == b.cols);
  double largest = 0.0;
  double difference = 0.0;
  for (int64_t r = 0; r < a.rows; ++r)
    for (int64_t c = 0; c < a.cols; ++c) {
      const double d = std::abs(static_cast<double>(a(r, c)) - b(r, c));
      if (std::isnan(d)) return d;
      difference = std::max(difference, d);
      largest = std::max(largest, std::abs(static_cast<double>(a(r, c))));
    }
  return largest > 0.0 ? difference / largest : difference;
}

}  // namespace pare
