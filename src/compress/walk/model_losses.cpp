#include "compress/walk/model_losses.h"

#include <algorithm>
#include <optional>

#include "base/parallel.h"
#include "compress/walk/activation_pair.h"
#include "kernels/log_sum_exp.h"
#include "model/stage_at.h"
#include "model/visit.h"
#include "runtime/forward.h"

namespace pare {
namespace {

constexpr int64_t kRowsAtOnce = 128;  // tokens whose logits exist at once

bool same_weights(const Stage& a, const Stage& b) {
  std::vector<const std::byte*> data[2];
  for_each_linear(a, [&](Role, const Linear& linear) { data[0].push_back(linear.weight.data); });
  for_each_linear(b, [&](Role, const Linear& linear) { data[1].push_back(linear.weight.data); });
  return data[0] == data[1] && a.skip.data == b.skip.data;
}

// The stream of a model at one point; empty as long as it is that of the model that it is compared with.
using Stream = std::optional<Matrix<float>>;

class Streams {
 public:
  Streams(const Model& model, std::span<const Model> others, const CalibrationSet& set)
      : set_(set),
        rope_(sequence_rope(model.config, sequences(), set.seqlen())),
        streams_(others.size() + 1) {
    models_.push_back(&model);
    for (const Model& other : others) models_.push_back(&other);
  }

  void run() {
    for (size_t m = 0; m < models_.size(); ++m)
      if (m == 0 || models_[m]->embedding.data != models_[0]->embedding.data)
        streams_[m] = start(*models_[m]);
    for (size_t s = 0; s < stage_count(*models_[0]); ++s) advance(s);
  }
  std::vector<double> losses() const {
    std::vector<PackedHead> heads(models_.size());  // null where the head is that of the first
    for (size_t m = 0; m < models_.size(); ++m)
      if (m == 0 || models_[m]->head_weight().data != models_[0]->head_weight().data)
        heads[m] = PackedHead(*models_[m], ComputeType::kBF16);
    std::vector<double> sums(models_.size() - 1, 0.0);
    const int64_t tokens = set_.tokens();
    for (int64_t first = 0; first < tokens; first += kRowsAtOnce) {
      const int64_t count = std::min(kRowsAtOnce, tokens - first);
      const Matrix<float> dense = logits(0, heads, first, count);
      std::vector<std::optional<ReferenceRow>> references(static_cast<size_t>(count));
      const auto row_of = [](const Matrix<float>& m, int64_t r) {
        return std::span<const float>(m.row(r), static_cast<size_t>(m.cols()));
      };
      parallel_for(count, [&](int64_t r) { references[static_cast<size_t>(r)].emplace(row_of(dense, r)); });
      std::vector<double> rows(static_cast<size_t>(count));
      for (size_t m = 1; m < models_.size(); ++m) {
        const Matrix<float> other = logits(m, heads, first, count);
        parallel_for(count, [&](int64_t r) {
          const std::span<const float> row = row_of(other, r);
          rows[static_cast<size_t>(r)] = references[static_cast<size_t>(r)]->kl(row, log_sum_exp(row));
        });
        for (const double kl : rows) sums[m - 1] += kl;
      }
    }
    for (double& sum : sums) sum /= static_cast<double>(tokens);
    return sums;
  }

 private:
  int64_t sequences() const { return static_cast<int64_t>(set_.sequences.size()); }
  const Matrix<float>& stream(size_t m) const { return streams_[m] ? *streams_[m] : *streams_[0]; }

  Matrix<float> start(const Model& model) const {
    std::vector<int32_t> tokens;
    for (const auto& sequence : set_.sequences) tokens.insert(tokens.end(), sequence.begin(), sequence.end());
    const PackedEmbedding embedding(model, ComputeType::kBF16);
    return download(first_stream(embedding, tokens, sequence_positions(sequences(), set_.seqlen()))).matrix();
  }
  void advance(size_t s) {
    const Stage& first = stage_at(*models_[0], s);
    const PackedStage packed = pack_stage(first, stream(0).cols(), ComputeType::kBF16);
    // The first model comes last: others may still begin at its stream.
    for (size_t m = models_.size(); m-- > 0;) {
      const Stage& own = stage_at(*models_[m], s);
      const bool same = same_weights(own, first);
      if (m > 0 && same && !streams_[m]) continue;
      const MatrixView<const float> x = stream(m).view();
      streams_[m] = same
                        ? run_sequences(packed, x, set_.seqlen(), rope_)
                        : run_sequences(pack_stage(own, x.cols, ComputeType::kBF16), x, set_.seqlen(), rope_);
    }
    for (const Model* model : models_) release_pages(stage_at(*model, s));
  }
  Matrix<float> logits(size_t m, const std::vector<PackedHead>& heads, int64_t first, int64_t count) const {
    const PackedHead& head = heads[m].logits ? heads[m] : heads[0];
    const Activation hidden = head_input(head, head.backend->borrow(stream(m).view().rows_of(first, count)));
    const Activation result = head.backend->allocate(count, head.logits->out_features());
    head.logits->apply(hidden, result);
    return download(result).matrix();
  }

  const CalibrationSet& set_;
  RotaryTable rope_;
  std::vector<const Model*> models_;  // the first is what all others are compared with
  std::vector<Stream> streams_;
};

}  // namespace

std::vector<double> model_losses(const Model& model, std::span<const Model> others,
                                 const CalibrationSet& set) {
  Streams streams(model, others, set);
  streams.run();
  return streams.losses();
}

int64_t model_losses_bytes(const Model& model, int64_t others, int64_t tokens) {
  const auto value = static_cast<int64_t>(sizeof(float));
  return (others + 2) * tokens * widest_stream(model.config) * value +
         3 * kRowsAtOnce * model.config.vocab_size * value;
}

}  // namespace pare
