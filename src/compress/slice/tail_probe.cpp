#include "compress/slice/tail_probe.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/parallel.h"
#include "kernels/vector_ops.h"

namespace pare {
namespace {

constexpr int64_t kStride = 2;         // every second position is probed
constexpr int64_t kRowsPerPiece = 64;  // positions whose logits exist at once

RopeTable batch_rope(const ModelConfig& config, int64_t seqlen, size_t sequences) {
  std::vector<int64_t> positions;
  for (size_t s = 0; s < sequences; ++s)
    for (int64_t t = 0; t < seqlen; ++t) positions.push_back(t);
  return make_rope_table(config.rope, config.head_dim, positions);
}

// KL(softmax(x) || softmax(y)); x and y (n) are overwritten. With p = softmax(x) it is Σ p·(x − y) − ln Σe^x
// + ln Σe^y.
double kl_row(float* x, float* y, int64_t n, std::vector<float>& difference) {
  const VectorOps& ops = vector_ops();
  difference.assign(x, x + n);
  ops.axpy(-1.0f, y, difference.data(), n);
  const float x_max = ops.max(x, n);
  const float y_max = ops.max(y, n);
  const double x_sum = ops.exp_sum(x, x_max, n);
  const double y_sum = ops.exp_sum(y, y_max, n);
  return ops.dot(x, difference.data(), n) / x_sum - (x_max + std::log(x_sum)) + (y_max + std::log(y_sum));
}

}  // namespace

TailProbe::TailProbe(const Model& model, const std::vector<std::vector<int32_t>>& sequences)
    : packed_(model, ComputeType::kBF16),
      rope_(batch_rope(model.config, static_cast<int64_t>(sequences.front().size()), sequences.size())),
      seqlen_(static_cast<int64_t>(sequences.front().size())) {
  std::vector<int32_t> tokens;
  for (const auto& sequence : sequences) {
    tokens.insert(tokens.end(), sequence.begin(), sequence.end());
    caches_.push_back(std::make_unique<KvCache>(packed_, seqlen_));
  }
  stream_ = embed(packed_.embedding, tokens);
  Matrix<float> start = stream_.clone();
  dense_hidden_ = hidden_after(std::move(start), 0);
}

std::vector<Segment> TailProbe::segments(size_t stage) {
  std::vector<Segment> result;
  for (size_t s = 0; s < caches_.size(); ++s)
    result.push_back({static_cast<int64_t>(s) * seqlen_, seqlen_, 0, caches_[s]->layer(stage)});
  return result;
}

Matrix<float> TailProbe::hidden_after(Matrix<float> stream, size_t first_stage) {
  for (size_t s = first_stage; s < packed_.stages.size(); ++s)
    stream = forward_stage(packed_.stages[s], stream.view(), segments(s), rope_);
  apply_norm(packed_.final_norm, stream.view(), stream.view());
  const int64_t rows = (stream.rows() + kStride - 1) / kStride;
  Matrix<float> probed(rows, stream.cols());
  for (int64_t r = 0; r < rows; ++r) std::copy_n(stream.row(r * kStride), stream.cols(), probed.row(r));
  if (!packed_.head_transform) return probed;
  Matrix<float> transformed(rows, packed_.head_transform->out_features());
  packed_.head_transform->apply(probed.view(), transformed.view());
  return transformed;
}

double TailProbe::kl_with(const Stage& changed) {
  const PackedStage stage = pack_stage(changed, stream_.cols(), ComputeType::kBF16);
  std::vector<KvLayer> kv;
  std::vector<Segment> parts = segments(stage_);
  for (const auto& branch : stage.branches)
    if (const auto* attention = std::get_if<PackedAttention>(&branch))
      for (size_t s = 0; s < parts.size(); ++s) kv.emplace_back(*attention, seqlen_);
  for (size_t s = 0; s < kv.size(); ++s) parts[s].kv = &kv[s];
  const Matrix<float> hidden = hidden_after(forward_stage(stage, stream_.view(), parts, rope_), stage_ + 1);
  std::vector<double> kl(static_cast<size_t>(hidden.rows()));
  for (int64_t first = 0; first < hidden.rows(); first += kRowsPerPiece) {
    const int64_t rows = std::min(kRowsPerPiece, hidden.rows() - first);
    Matrix<float> dense = logits_of(packed_, std::as_const(dense_hidden_).view().rows_of(first, rows));
    Matrix<float> other = logits_of(packed_, hidden.view().rows_of(first, rows));
    parallel_for(rows, [&](int64_t r) {
      std::vector<float> difference;
      kl[static_cast<size_t>(first + r)] = kl_row(dense.row(r), other.row(r), dense.cols(), difference);
    });
  }
  return std::accumulate(kl.begin(), kl.end(), 0.0) / static_cast<double>(kl.size());
}

void TailProbe::advance() {
  stream_ = forward_stage(packed_.stages[stage_], stream_.view(), segments(stage_), rope_);
  ++stage_;
}

}  // namespace pare
