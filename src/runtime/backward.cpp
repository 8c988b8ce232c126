#include "runtime/backward.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/parallel.h"

namespace pare {
namespace {

Activation copied(const Activation& x) {
  Activation y = x.backend().allocate(x.rows(), x.cols());
  x.backend().copy(x, y);
  return y;
}

// Packs the transpose of weights on top of each other.
std::unique_ptr<PackedLinear> pack_transposed(const Backend& on, std::span<const Weight> stack,
                                              ComputeType compute) {
  const int64_t rows = stacked_rows(stack);
  const int64_t cols = stack[0].cols;
  Matrix<float> transposed(cols, rows);
  constexpr int64_t kRows = 16;
  parallel_for((rows + kRows - 1) / kRows, [&](int64_t piece) {
    std::vector<float> row(static_cast<size_t>(cols));
    for (int64_t r = piece * kRows; r < std::min(rows, (piece + 1) * kRows); ++r) {
      decode_row(stack, r, row.data());
      for (int64_t c = 0; c < cols; ++c) transposed(c, r) = row[static_cast<size_t>(c)];
    }
  });
  const Weight weight = Weight::from_matrix(std::as_const(transposed).view());
  return on.pack_linear(std::span(&weight, 1), {}, compute);
}

std::unique_ptr<PackedLinear> pack_transposed(const Backend& on, const Weight& weight, ComputeType compute) {
  return pack_transposed(on, std::span(&weight, 1), compute);
}

// The gradient on its way back through a branch: from its output to the branches' input.
class BranchGradient {
 public:
  BranchGradient(const StageTape& tape, const StageAdjoint& adjoint, size_t branch,
                 const GradientObserver& observer)
      : on_(*tape.stage().backend),
        recorded_(tape.branches()[branch]),
        adjoint_(adjoint.branches[branch]),
        branch_(branch),
        observer_(observer) {}

  Activation through(const PackedAttention& a, std::span<const Segment> segments, const RotaryTable& rope,
                     const Activation& dy) const {
    const AttentionShape& shape = a.shape;
    notify(Role::kAttentionOutput, dy);
    const Activation to_context = applied(*adjoint_.last, dy);
    // Queries and keys as attention sees them, once more.
    const Activation rotated = copied(recorded_.inner);
    const auto [q, k, v] = parts_of(shape, rotated);
    prepare_for_attention(a, q, k, rope);
    const Activation gradient = on_.allocate(rotated.rows(), rotated.cols());
    const auto [dq, dk, dv] = parts_of(shape, gradient);
    on_.attend_adjoint(shape, segments, q, k, v, to_context, dq, dk, dv);
    on_.rotate_back(rope, dq, shape.head_dim);
    on_.rotate_back(rope, dk, shape.head_dim);
    if (a.norms != QueryKeyNorm::kNone) {
      const auto [q_given, k_given, v_given] = parts_of(shape, recorded_.inner);
      on_.norm_adjoint(*a.q_norm, q_given, dq, dq, a.norm_width(dq));
      on_.norm_adjoint(*a.k_norm, k_given, dk, dk, a.norm_width(dk));
    }
    notify(Role::kQuery, dq);
    notify(Role::kKey, dk);
    notify(Role::kValue, dv);
    return applied(*adjoint_.first, gradient);
  }

  Activation through(const PackedMlp& m, const Activation& dy) const {
    notify(Role::kDown, dy);
    const int64_t hidden = m.down->in_features();
    const Activation gradient = on_.allocate(dy.rows(), recorded_.inner.cols());
    adjoint_.last->apply(dy, gradient.columns_of(0, hidden));
    on_.activate_adjoint(m.activation, recorded_.inner, hidden, gradient);
    const bool gated = gradient.cols() > hidden;
    if (gated) notify(Role::kGate, gradient.columns_of(0, hidden));
    notify(Role::kUp, gradient.columns_of(gated ? hidden : 0, hidden));
    return applied(*adjoint_.first, gradient);
  }

 private:
  void notify(Role role, const Activation& gradient) const {
    if (observer_) observer_(branch_, role, gradient);
  }

  const Backend& on_;
  const StageTape::Branch& recorded_;
  const StageAdjoint::Branch& adjoint_;
  size_t branch_;
  const GradientObserver& observer_;
};

}  // namespace

Observer StageTape::observer() {
  return [this](Signal signal, const Activation& x) { record(signal, x); };
}

void StageTape::record(Signal signal, const Activation& x) {
  switch (signal) {
    case Signal::kStageInput:
      input_ = x;
      return;
    case Signal::kNormed:
      normed_ = x;
      return;
    case Signal::kQueryKeyValue:
    case Signal::kGateUp:
      branches_.push_back({copied(x), {}, {}});
      return;
    case Signal::kValueStream:
    case Signal::kHiddenStream:
      branches_.back().stream = x;
      return;
    case Signal::kBranchOutput:
      if (stage_->norm_place == NormPlace::kBranch) branches_.back().output = copied(x);
      return;
    case Signal::kSum:
      if (stage_->norm_place == NormPlace::kSum) sum_ = copied(x);
      return;
  }
}

StageAdjoint pack_adjoint(const Stage& stage, ComputeType compute, const Backend& backend) {
  StageAdjoint adjoint;
  if (!stage.skip.empty()) adjoint.skip = pack_transposed(backend, stage.skip, compute);
  for (const Branch& branch : stage.branches) {
    if (const auto* a = std::get_if<Attention>(&branch)) {
      const Weight first[] = {a->q.weight, a->k.weight, a->v.weight};
      adjoint.branches.push_back(
          {pack_transposed(backend, first, compute), pack_transposed(backend, a->o.weight, compute)});
    } else {
      const Mlp& m = std::get<Mlp>(branch);
      std::vector<Weight> first;
      if (!m.gate.weight.empty()) first.push_back(m.gate.weight);
      first.push_back(m.up.weight);
      adjoint.branches.push_back(
          {pack_transposed(backend, first, compute), pack_transposed(backend, m.down.weight, compute)});
    }
  }
  return adjoint;
}

Activation backward_stage(const StageAdjoint& adjoint, const StageTape& tape,
                          std::span<const Segment> segments, const RotaryTable& rope, const Activation& dy,
                          const GradientObserver& observer) {
  const PackedStage& stage = tape.stage();
  const Backend& on = *stage.backend;
  PARE_CHECK(dy.cols() == stage.width_out && tape.branches().size() == stage.branches.size());
  if (stage.branches.empty()) return adjoint.skip ? applied(*adjoint.skip, dy) : dy;
  if (stage.norm_place == NormPlace::kSum) on.norm_adjoint(*stage.norm, tape.sum(), dy, dy, dy.cols());
  std::optional<Activation> to_branches;  // gradient at the input of the branches
  for (size_t b = 0; b < stage.branches.size(); ++b) {
    Activation out = dy;
    if (stage.norm_place == NormPlace::kBranch) {
      out = on.allocate(dy.rows(), dy.cols());
      on.norm_adjoint(*stage.norm, tape.branches()[b].output, dy, out, dy.cols());
    }
    const BranchGradient gradient(tape, adjoint, b, observer);
    const auto* attention = std::get_if<PackedAttention>(&stage.branches[b]);
    Activation in = attention != nullptr ? gradient.through(*attention, segments, rope, out)
                                         : gradient.through(std::get<PackedMlp>(stage.branches[b]), out);
    if (to_branches) on.add(*to_branches, in);
    to_branches = std::move(in);
  }
  if (stage.norm_place == NormPlace::kInput)
    on.norm_adjoint(*stage.norm, tape.input(), *to_branches, *to_branches, to_branches->cols());
  on.add(adjoint.skip ? applied(*adjoint.skip, dy) : dy, *to_branches);
  return *to_branches;
}

HeadAdjoint::HeadAdjoint(const Model& model, ComputeType compute, const Backend& on)
    : logits(pack_transposed(on, model.head_weight(), compute)) {
  if (!model.head_transform.empty()) transform = pack_transposed(on, model.head_transform, compute);
}

Activation backward_head(const HeadAdjoint& adjoint, const PackedHead& head, const Activation& x,
                         const Activation& to_logits) {
  Activation dy = applied(*adjoint.logits, to_logits);
  if (adjoint.transform) dy = applied(*adjoint.transform, dy);
  x.backend().norm_adjoint(*head.norm, x, dy, dy, dy.cols());
  return dy;
}

}  // namespace pare
