#include "compress/stage_probe.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "compress/sample_split.h"
#include "kernels/vector_ops.h"

namespace pare {
namespace {

constexpr int64_t kStride = 2;          // every second position is probed
constexpr int64_t kRowsPerPiece = 128;  // positions whose logits exist at once

std::vector<int64_t> positions_of(const CalibrationSet& set) {
  std::vector<int64_t> positions;
  for (size_t s = 0; s < set.sequences.size(); ++s)
    for (int64_t t = 0; t < set.seqlen(); ++t) positions.push_back(t);
  return positions;
}

std::vector<RopeRange> ranges_of(const CalibrationSet& set) {
  return std::vector<RopeRange>(set.sequences.size(), {0, set.seqlen(), set.seqlen()});
}

// softmax(x) and what it takes to compare another row of logits with it.
struct DenseRow {
  std::vector<float> p;
  double p_dot_x = 0.0;  // Σ p·x
  double log_sum = 0.0;  // ln Σ e^x
};

DenseRow dense_row(const float* x, int64_t n) {
  const VectorOps& ops = vector_ops();
  DenseRow row{std::vector<float>(x, x + n)};
  const float max = ops.max(x, n);
  const double sum = ops.exp_sum(row.p.data(), max, n);
  ops.scale(static_cast<float>(1.0 / sum), row.p.data(), n);
  row.p_dot_x = ops.dot(row.p.data(), x, n);
  row.log_sum = max + std::log(sum);
  return row;
}

// KL(p || softmax(y)) = Σ p·(x − y) − ln Σ e^x + ln Σ e^y; y is overwritten.
double kl(const DenseRow& dense, float* y, int64_t n) {
  const VectorOps& ops = vector_ops();
  const double p_dot_y = ops.dot(dense.p.data(), y, n);
  const float max = ops.max(y, n);
  const double log_sum = max + std::log(ops.exp_sum(y, max, n));
  return dense.p_dot_x - p_dot_y - dense.log_sum + log_sum;
}

}  // namespace

StageProbe::StageProbe(const Model& model, const CalibrationSet& set, int64_t max_variants, WorkArea& area,
                       const std::string& name)
    : model_(model),
      set_(set),
      comm_(area.comm()),
      rope_(make_rope_table(model.config.rope, model.config.rotary_dim, ranges_of(set))),
      streams_(area, name, model.config, (1 + share_of(max_variants, area.comm().size())) * set.tokens()) {}

void StageProbe::start() {
  std::vector<int32_t> tokens;
  for (const auto& sequence : set_.sequences) tokens.insert(tokens.end(), sequence.begin(), sequence.end());
  const PackedEmbedding embedding(model_, ComputeType::kBF16);
  streams_.write(0, first_stream(embedding, tokens, positions_of(set_)));
  streams_.advance(embedding.width(), set_.tokens());
}

Json StageProbe::position() const { return {{"streams", streams_.position()}, {"variants", variants_}}; }

bool StageProbe::restore(const Json& position) {
  variants_ = position.at("variants").get<int64_t>();
  return streams_.restore(position.at("streams"));
}

Matrix<float> StageProbe::run(const PackedStage& stage, MatrixView<const float> x) const {
  std::vector<KvLayer> kv;
  for (const auto& branch : stage.branches)
    if (const auto* attention = std::get_if<PackedAttention>(&branch))
      for (size_t s = 0; s < set_.sequences.size(); ++s) kv.emplace_back(*attention, set_.seqlen());
  std::vector<Segment> segments;
  for (size_t s = 0; s < set_.sequences.size(); ++s)
    segments.push_back(
        {static_cast<int64_t>(s) * set_.seqlen(), set_.seqlen(), 0, kv.empty() ? nullptr : &kv[s]});
  return forward_stage(stage, x, segments, rope_);
}

void StageProbe::advance(const Stage& stage, std::span<const Stage> variants) {
  streams_.begin_stage();
  int64_t held = copies();
  const PackedStage packed = pack_stage(stage, streams_.width(), ComputeType::kBF16);
  for (int64_t copy = 0; copy < held; ++copy) {
    streams_.write(copy * set_.tokens(), run(packed, stream(copy)));
    if (copy > 0) streams_.release(stream(copy));
  }
  for (const Stage& variant : variants)
    if (variants_++ % comm_.size() == comm_.rank())
      streams_.write(held++ * set_.tokens(),
                     run(pack_stage(variant, streams_.width(), ComputeType::kBF16), stream(0)));
  streams_.advance(packed.width_out, held * set_.tokens());
}

// What the head reads at probed positions [first, first + count).
Matrix<float> StageProbe::head_input(int64_t copy, int64_t first, int64_t count) const {
  const MatrixView<const float> x = stream(copy);
  Matrix<float> probed(count, x.cols);
  for (int64_t r = 0; r < count; ++r) std::copy_n(x.row((first + r) * kStride), x.cols, probed.row(r));
  apply_norm(model_.final_norm, std::as_const(probed).view(), probed.view());
  return probed;
}

std::vector<double> StageProbe::losses() const {
  std::vector<double> own = own_losses();
  own.resize(static_cast<size_t>(share_of(variants_, comm_.size())));
  std::vector<std::vector<double>> of_ranks;
  for (int rank = 0; rank < comm_.size(); ++rank) {
    of_ranks.push_back(own);
    comm_.broadcast(rank, bytes_of(of_ranks.back().data(), static_cast<int64_t>(own.size())));
  }
  std::vector<double> all;
  for (int64_t v = 0; v < variants_; ++v)
    all.push_back(of_ranks[static_cast<size_t>(v % comm_.size())][static_cast<size_t>(v / comm_.size())]);
  return all;
}

std::vector<double> StageProbe::own_losses() const {
  const auto pack = [](const Weight& weight) { return pack_linear(weight, ComputeType::kBF16); };
  const auto head = pack(model_.head_weight());
  const auto transform = model_.head_transform.empty() ? nullptr : pack(model_.head_transform);
  const int64_t positions = (set_.tokens() + kStride - 1) / kStride;
  const int64_t vocab = head->out_features();
  const auto logits = [&](int64_t copy, int64_t first, int64_t count) {
    Matrix<float> hidden = head_input(copy, first, count);
    if (transform) {
      Matrix<float> transformed(count, transform->out_features());
      transform->apply(std::as_const(hidden).view(), transformed.view());
      hidden = std::move(transformed);
    }
    Matrix<float> result(count, vocab);
    head->apply(std::as_const(hidden).view(), result.view());
    if (!model_.head_bias.empty())
      for (int64_t r = 0; r < count; ++r) vector_ops().add(model_.head_bias.data(), result.row(r), vocab);
    return result;
  };
  std::vector<double> sums(static_cast<size_t>(copies() - 1), 0.0);
  for (int64_t first = 0; first < positions; first += kRowsPerPiece) {
    const int64_t count = std::min(kRowsPerPiece, positions - first);
    const Matrix<float> x = logits(0, first, count);
    std::vector<DenseRow> dense(static_cast<size_t>(count));
    parallel_for(count, [&](int64_t r) { dense[static_cast<size_t>(r)] = dense_row(x.row(r), vocab); });
    std::vector<double> rows(static_cast<size_t>(count));
    for (int64_t copy = 1; copy < copies(); ++copy) {
      Matrix<float> y = logits(copy, first, count);
      parallel_for(count, [&](int64_t r) {
        rows[static_cast<size_t>(r)] = kl(dense[static_cast<size_t>(r)], y.row(r), vocab);
      });
      for (const double row : rows) sums[static_cast<size_t>(copy - 1)] += row;
    }
  }
  for (double& sum : sums) sum /= static_cast<double>(positions);
  return sums;
}

}  // namespace pare
