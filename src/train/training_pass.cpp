#include "train/training_pass.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/parallel.h"
#include "model/stage_at.h"
#include "train/gradient_sums.h"

namespace pare {
namespace {

// One batch on its way through the model.
class BatchPass {
 public:
  BatchPass(const Model& model, const SequenceBatch& batch, ComputeType compute, const Backend& on)
      : model_(model),
        batch_(batch),
        compute_(compute),
        on_(on),
        rope_(sequence_rope(model.config, batch.sequences(), batch.length, on)),
        positions_(sequence_positions(batch.sequences(), batch.length)) {
    PARE_CHECK(batch.length > 0 && batch.rows() % batch.length == 0);
  }

  // Runs the stages; keeps the input of each with `keep`.
  void forward(bool keep) {
    x_ = first_stream(PackedEmbedding(model_, compute_, on_), batch_.tokens, positions_);
    for (size_t s = 0; s < stage_count(model_); ++s) {
      if (keep) inputs_.push_back(x_);
      const PackedStage stage = packed(s, x_.cols());
      const KvStores kv = kv_of(stage, batch_.sequences(), batch_.length);
      x_ = forward_stage(stage, x_, segments(kv), rope_);
      if (!on_.all_finite(x_)) fail(ErrorCode::kNumeric, "stage {} gives a NaN or an infinity", s);
    }
  }

  // Returns the sum of the losses; with `sums` also begins the backward pass.
  double head(const TokenLoss& loss, GradientSums* sums) {
    const PackedHead head(model_, compute_, on_);
    std::optional<HeadAdjoint> adjoint;
    if (sums != nullptr) {
      adjoint.emplace(model_, compute_, on_);
      gradient_ = on_.allocate(x_.rows(), x_.cols());
    }
    std::vector<double> losses(static_cast<size_t>(x_.rows()));
    for (int64_t first = 0; first < x_.rows(); first += kLossRows) {
      const int64_t n = std::min(kLossRows, x_.rows() - first);
      const Activation rows = x_.rows_of(first, n);
      Matrix<float> logits = download(applied(*head.logits, head_input(head, rows))).matrix();
      parallel_for(n, [&](int64_t r) {
        losses[static_cast<size_t>(first + r)] =
            loss(first + r, std::span(logits.row(r), static_cast<size_t>(logits.cols())));
      });
      if (sums == nullptr) continue;
      on_.copy(backward_head(*adjoint, head, rows, on_.upload(std::move(logits)), sums),
               gradient_.rows_of(first, n));
    }
    const double sum = std::accumulate(losses.begin(), losses.end(), 0.0);
    if (!std::isfinite(sum)) fail(ErrorCode::kNumeric, "the loss is a NaN or an infinity");
    return sum;
  }

  void backward(GradientSums& sums, GradientSums& outside) {
    for (size_t s = stage_count(model_); s-- > 0;) {
      const Activation x = std::move(inputs_[s]);
      const PackedStage stage = packed(s, x.cols());
      const KvStores kv = kv_of(stage, batch_.sequences(), batch_.length);
      StageTape tape(stage);
      forward_stage(stage, x, segments(kv), rope_, tape.observer());
      sums.enter(s);
      gradient_ = backward_stage(pack_adjoint(stage_at(model_, s), compute_, on_), tape, segments(kv), rope_,
                                 gradient_, &sums);
    }
    embedding(outside);
  }

 private:
  PackedStage packed(size_t s, int64_t width) const {
    return pack_stage(stage_at(model_, s), width, compute_, on_);
  }

  std::vector<Segment> segments(const KvStores& kv) const {
    std::vector<Segment> all;
    for (int64_t s = 0; s < batch_.sequences(); ++s)
      all.push_back(
          {s * batch_.length, batch_.length, 0, kv.empty() ? nullptr : kv[static_cast<size_t>(s)].get()});
    return all;
  }

  void embedding(GradientSums& sums) const {
    const std::vector<int64_t> tokens(batch_.tokens.begin(), batch_.tokens.end());
    if (!model_.positions.empty()) {
      std::vector<int64_t> rows = positions_;
      for (int64_t& row : rows) row += model_.config.position_offset;
      sums.rows(Role::kPositions, rows, gradient_);
    }
    if (model_.embedding_transform.empty()) return sums.rows(Role::kEmbedding, tokens, gradient_);
    const Activation given = on_.allocate(batch_.rows(), model_.embedding.cols);
    on_.gather(*on_.pack_rows(model_.embedding), tokens, given);
    const Role role = Role::kEmbeddingTransform;
    sums.linears(std::span(&role, 1), given, gradient_);
    sums.rows(Role::kEmbedding, tokens,
              applied(*pack_transposed(model_.embedding_transform, compute_, on_), gradient_));
  }

  const Model& model_;
  const SequenceBatch& batch_;
  ComputeType compute_;
  const Backend& on_;
  RotaryTable rope_;
  std::vector<int64_t> positions_;
  std::vector<Activation> inputs_;  // inputs of the stages
  Activation x_;                    // output of the last stage that ran
  Activation gradient_;             // at the output of the next stage on the way back
};

}  // namespace

double TrainingPass::loss(const SequenceBatch& batch, const TokenLoss& loss) const {
  BatchPass pass(model_, batch, compute_, on_);
  pass.forward(false);
  return pass.head(loss, nullptr);
}

double TrainingPass::gradient(const SequenceBatch& batch, const TokenLoss& loss, const Parameters& layout,
                              std::span<float> gradient) const {
  GradientSums inside(model_, layout, gradient, compute_, on_);
  GradientSums outside(model_, layout, gradient, compute_, on_);
  BatchPass pass(model_, batch, compute_, on_);
  pass.forward(true);
  const double sum = pass.head(loss, &outside);
  pass.backward(inside, outside);
  return sum;
}

}  // namespace pare
