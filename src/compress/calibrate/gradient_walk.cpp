#include "compress/calibrate/gradient_walk.h"

#include <algorithm>

#include "base/error.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "compress/calibrate/input_group.h"
#include "compress/walk/calibration_walk.h"
#include "kernels/log_sum_exp.h"
#include "model/stage_at.h"

namespace pare {
namespace {

constexpr int64_t kLogitRows = 64;  // tokens whose logits are held at once

// Draws an index by its probability.
size_t drawn(std::span<const float> probabilities, double at) {
  double sum = 0.0;
  size_t last = 0;  // the last that is possible, for a sum that rounding leaves below `at`
  for (size_t i = 0; i < probabilities.size(); ++i) {
    if (probabilities[i] > 0.0f) last = i;
    sum += static_cast<double>(probabilities[i]);
    if (at < sum) return i;
  }
  return last;
}

}  // namespace

// Shows the linears of a stage, of one sequence.
class GradientWalk::Linears final : public GradientObserver {
 public:
  Linears(GradientVisitor& visitor, size_t stage, int64_t sequence)
      : visitor_(visitor), stage_(stage), sequence_(sequence) {}
  void linears(std::span<const Role> roles, const Activation& x, const Activation& dy) override {
    visitor_.linears(stage_, sequence_, roles, x, dy);
  }

 private:
  GradientVisitor& visitor_;
  size_t stage_;
  int64_t sequence_;
};

GradientWalk::GradientWalk(const Model& model, const CalibrationSet& set, int64_t first, int64_t count)
    : model_(model),
      set_(set),
      first_(first),
      count_(count),
      stages_(stage_count(model)),
      rope_(sequence_rope(model.config, 1, set.seqlen())),
      on_(default_backend()) {}

void GradientWalk::run(GradientVisitor& visitor, const std::function<void()>& stage_done) {
  begin();
  for (size_t s = 0; s < stages_; ++s) {
    forward(s, visitor);
    stage_done();
  }
  turn(visitor);
  for (size_t s = stages_; s-- > 0;) {
    backward(s, visitor);
    stage_done();
  }
  for (int64_t i = 0; i < count_; ++i) visitor.stream(i, gradients_[static_cast<size_t>(i)]);
  gradients_.clear();
}

void GradientWalk::begin() {
  const PackedEmbedding embedding(model_, calibration_compute());
  const std::vector<int64_t> positions = sequence_positions(1, set_.seqlen());
  inputs_.resize(stages_ + 1);
  for (int64_t i = 0; i < count_; ++i) inputs_[0].push_back(first_stream(embedding, tokens(i), positions));
}

PackedStage GradientWalk::packed(size_t s) const {
  return pack_stage(stage_at(model_, s), inputs_[s].front().cols(), calibration_compute());
}

void GradientWalk::forward(size_t s, GradientVisitor& visitor) {
  const PackedStage stage = packed(s);
  const KvStores kv = kv_of(stage, 1, set_.seqlen());
  const Segment segment = whole(kv);
  const Observer observer = [&](Signal signal, const Activation& x) { visitor.signal(s, signal, x); };
  for (const Activation& x : inputs_[s])
    inputs_[s + 1].push_back(forward_stage(stage, x, std::span(&segment, 1), rope_, observer));
}

// Computes the gradient at the output of the last stage.
void GradientWalk::turn(GradientVisitor& visitor) {
  const PackedHead head(model_, calibration_compute());
  const HeadAdjoint adjoint(model_, calibration_compute());
  for (const Activation& x : inputs_.back()) visitor.signal(stages_, Signal::kNormed, head_input(head, x));
  for (int64_t i = 0; i < count_; ++i) turn(head, adjoint, i, visitor);
  inputs_.back().clear();
}

void GradientWalk::turn(const PackedHead& head, const HeadAdjoint& adjoint, int64_t i,
                        GradientVisitor& visitor) {
  const Activation& x = inputs_.back()[static_cast<size_t>(i)];
  gradients_.push_back(on_.allocate(x.rows(), x.cols()));
  // A sequence has draws of its own, whoever works on it.
  Rng rng(set_.seed + static_cast<uint64_t>(first_ + i));
  for (int64_t t = 0; t < x.rows(); t += kLogitRows) {
    const int64_t n = std::min(kLogitRows, x.rows() - t);
    const Activation rows = x.rows_of(t, n);
    const Activation hidden = head_input(head, rows);
    const Activation logits = on_.allocate(n, head.logits->out_features());
    head.logits->apply(hidden, logits);
    Matrix<float> gradient = download(logits).matrix();
    const auto row_of = [&](int64_t r) {
      return std::span<float>(gradient.row(r), static_cast<size_t>(gradient.cols()));
    };
    parallel_for(n, [&](int64_t r) { softmax(row_of(r)); });
    visitor.predictions(hidden, std::as_const(gradient).view());
    std::vector<double> draws(static_cast<size_t>(n));
    for (double& draw : draws) draw = rng.uniform();
    parallel_for(n, [&](int64_t r) {
      const std::span<float> row = row_of(r);
      row[drawn(row, draws[static_cast<size_t>(r)])] -= 1.0f;
    });
    visitor.logits(i, t, std::as_const(gradient).view());
    on_.copy(backward_head(adjoint, head, rows, on_.upload(std::move(gradient))),
             gradients_.back().rows_of(t, n));
  }
}

void GradientWalk::backward(size_t s, GradientVisitor& visitor) {
  visitor.begin_stage(s);
  const PackedStage stage = packed(s);
  const StageAdjoint adjoint = pack_adjoint(stage_at(model_, s), calibration_compute());
  const KvStores kv = kv_of(stage, 1, set_.seqlen());
  const Segment segment = whole(kv);
  for (int64_t i = 0; i < count_; ++i) {
    StageTape tape(stage);
    forward_stage(stage, inputs_[s][static_cast<size_t>(i)], std::span(&segment, 1), rope_, tape.observer());
    Activation& gradient = gradients_[static_cast<size_t>(i)];
    Linears linears(visitor, s, i);
    gradient = backward_stage(adjoint, tape, std::span(&segment, 1), rope_, gradient, &linears);
    if (!on_.all_finite(gradient))
      fail(ErrorCode::kNumeric, "stage {}: the loss's gradient holds a NaN or an infinity", s);
  }
  inputs_[s].clear();
  release_pages(stage_at(model_, s));
}

int64_t held_bytes_of_token(const Model& model) {
  return static_cast<int64_t>((stage_count(model) + 1) * sizeof(float)) * widest_stream(model.config);
}

int64_t gradient_walk_bytes(const Model& model, int64_t seqlen) {
  // The logits of some tokens, twice, and the tape of a stage, which is a few times as wide as the widest
  // input of a linear.
  return 2 * kLogitRows * model.config.vocab_size * static_cast<int64_t>(sizeof(float)) +
         8 * seqlen * widest_input(model) * static_cast<int64_t>(sizeof(float));
}

}  // namespace pare
