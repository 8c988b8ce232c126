#include "runtime/backward.h"

#include <algorithm>
#include <initializer_list>
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
  Matrix<float> turned(cols, rows);
  constexpr int64_t kRows = 16;
  parallel_for((rows + kRows - 1) / kRows, [&](int64_t piece) {
    const int64_t first = piece * kRows;
    Matrix<float> some(std::min(kRows, rows - first), cols);
    for (int64_t r = 0; r < some.rows(); ++r) decode_row(stack, first + r, some.row(r));
    for (int64_t c = 0; c < cols; ++c)
      for (int64_t r = 0; r < some.rows(); ++r) turned(c, first + r) = some(r, c);
  });
  const Weight weight = Weight::of_values(std::move(turned));
  return on.pack_linear(std::span(&weight, 1), {}, compute);
}

// The gradient on its way back through a branch: from its output to the branches' input.
class BranchGradient {
 public:
  BranchGradient(const StageTape& tape, const StageAdjoint& adjoint, size_t branch,
                 GradientObserver* observer)
      : on_(*tape.stage().backend),
        tape_(tape),
        recorded_(tape.branches()[branch]),
        adjoint_(adjoint.branches[branch]),
        observer_(observer) {}

  Activation through(const PackedAttention& a, std::span<const Segment> segments, const RotaryTable& rope,
                     const Activation& dy) const {
    const AttentionShape& shape = a.shape;
    notify({Role::kAttentionOutput}, recorded_.stream, dy);
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
      through(Role::kQueryNorm, *a.q_norm, q_given, dq, a.norm_width(dq));
      through(Role::kKeyNorm, *a.k_norm, k_given, dk, a.norm_width(dk));
    }
    notify({Role::kQuery, Role::kKey, Role::kValue}, tape_.normed(), gradient);
    return applied(*adjoint_.first, gradient);
  }

  Activation through(const PackedMlp& m, const Activation& dy) const {
    const int64_t hidden = m.down->in_features();
    if (observer_ != nullptr) {
      const Activation stream = copied(recorded_.inner);
      on_.activate(m.activation, stream, hidden);
      notify({Role::kDown}, stream.columns_of(0, hidden), dy);
    }
    const Activation gradient = on_.allocate(dy.rows(), recorded_.inner.cols());
    adjoint_.last->apply(dy, gradient.columns_of(0, hidden));
    on_.activate_adjoint(m.activation, recorded_.inner, hidden, gradient);
    if (gradient.cols() > hidden)
      notify({Role::kGate, Role::kUp}, tape_.normed(), gradient);
    else
      notify({Role::kUp}, tape_.normed(), gradient);
    return applied(*adjoint_.first, gradient);
  }

 private:
  void notify(std::initializer_list<Role> roles, const Activation& x, const Activation& dy) const {
    if (observer_ != nullptr) observer_->linears(std::span(roles.begin(), roles.size()), x, dy);
  }

  // The gradient d at normalised queries or keys becomes that at those given, x.
  void through(Role role, const PackedNorm& norm, const Activation& x, const Activation& d,
               int64_t width) const {
    if (observer_ != nullptr) observer_->query_key_norm(role, norm, x, d, width);
    on_.norm_adjoint(norm, x, d, d, width);
  }

  const Backend& on_;
  const StageTape& tape_;
  const StageTape::Branch& recorded_;
  const StageAdjoint::Branch& adjoint_;
  GradientObserver* observer_;
};

}  // namespace

std::unique_ptr<PackedLinear> pack_transposed(const Weight& weight, ComputeType compute, const Backend& on) {
  return pack_transposed(on, std::span(&weight, 1), compute);
}

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
      branches_.back().stream = x;
      return;
    case Signal::kHiddenStream:  // follows from what gate and up give
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
  if (!stage.skip.empty()) adjoint.skip = pack_transposed(stage.skip, compute, backend);
  for (const Branch& branch : stage.branches) {
    if (const auto* a = std::get_if<Attention>(&branch)) {
      const Weight first[] = {a->q.weight, a->k.weight, a->v.weight};
      adjoint.branches.push_back(
          {pack_transposed(backend, first, compute), pack_transposed(a->o.weight, compute, backend)});
    } else {
      const Mlp& m = std::get<Mlp>(branch);
      std::vector<Weight> first;
      if (!m.gate.weight.empty()) first.push_back(m.gate.weight);
      first.push_back(m.up.weight);
      adjoint.branches.push_back(
          {pack_transposed(backend, first, compute), pack_transposed(m.down.weight, compute, backend)});
    }
  }
  return adjoint;
}

Activation backward_stage(const StageAdjoint& adjoint, const StageTape& tape,
                          std::span<const Segment> segments, const RotaryTable& rope, const Activation& dy,
                          GradientObserver* observer) {
  const PackedStage& stage = tape.stage();
  const Backend& on = *stage.backend;
  PARE_CHECK(dy.cols() == stage.width_out && tape.branches().size() == stage.branches.size());
  const auto through_norm = [&](const Activation& x, const Activation& from, const Activation& to) {
    if (observer != nullptr) observer->norm(*stage.norm, x, from);
    on.norm_adjoint(*stage.norm, x, from, to, from.cols());
  };
  const auto through_skip = [&] {
    if (!adjoint.skip) return dy;
    if (observer != nullptr) observer->skip(tape.input(), dy);
    return applied(*adjoint.skip, dy);
  };
  if (stage.branches.empty()) return through_skip();
  if (stage.norm_place == NormPlace::kSum) through_norm(tape.sum(), dy, dy);
  std::optional<Activation> to_branches;  // gradient at the input of the branches
  for (size_t b = 0; b < stage.branches.size(); ++b) {
    Activation out = dy;
    if (stage.norm_place == NormPlace::kBranch) {
      out = on.allocate(dy.rows(), dy.cols());
      through_norm(tape.branches()[b].output, dy, out);
    }
    const BranchGradient gradient(tape, adjoint, b, observer);
    const auto* attention = std::get_if<PackedAttention>(&stage.branches[b]);
    Activation in = attention != nullptr ? gradient.through(*attention, segments, rope, out)
                                         : gradient.through(std::get<PackedMlp>(stage.branches[b]), out);
    if (to_branches) on.add(*to_branches, in);
    to_branches = std::move(in);
  }
  if (stage.norm_place == NormPlace::kInput) through_norm(tape.input(), *to_branches, *to_branches);
  on.add(through_skip(), *to_branches);
  return *to_branches;
}

HeadAdjoint::HeadAdjoint(const Model& model, ComputeType compute, const Backend& on)
    : logits(pack_transposed(model.head_weight(), compute, on)) {
  if (!model.head_transform.empty()) transform = pack_transposed(model.head_transform, compute, on);
}

Activation backward_head(const HeadAdjoint& adjoint, const PackedHead& head, const Activation& x,
                         const Activation& to_logits, GradientObserver* observer) {
  const auto notify = [&](Role role, const Activation& read, const Activation& gradient) {
    if (observer != nullptr) observer->linears(std::span(&role, 1), read, gradient);
  };
  if (observer != nullptr) notify(Role::kHead, head_input(head, x), to_logits);
  Activation dy = applied(*adjoint.logits, to_logits);
  if (adjoint.transform) {
    if (observer != nullptr) {
      const Activation normed = x.backend().allocate(x.rows(), x.cols());
      x.backend().norm(*head.norm, x, normed, x.cols());
      notify(Role::kHeadTransform, normed, dy);
    }
    dy = applied(*adjoint.transform, dy);
  }
  if (observer != nullptr) observer->norm(*head.norm, x, dy);
  x.backend().norm_adjoint(*head.norm, x, dy, dy, dy.cols());
  return dy;
}

}  // namespace pare
