#include "train/training_pass.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/parallel.h"
#include "model/stage_at.h"
#include "train/gradient_sums.h"

namespace pare {
namespace {

// The weights of all stages and of the head, in both directions.
struct PackedBothWays {
  std::vector<PackedStage> stages;
  std::vector<StageAdjoint> adjoints;
  HeadAdjoint head;

  PackedBothWays(const Model& model, ComputeType compute, const Backend& on) : head(model, compute, on) {
    int64_t width = model.config.stream_width();
    for (size_t s = 0; s < stage_count(model); ++s) {
      stages.push_back(pack_stage(stage_at(model, s), width, compute, on));
      adjoints.push_back(pack_adjoint(stage_at(model, s), compute, on));
      width = stages.back().width_out;
    }
  }
};

// Floats that a stage keeps of a token for the way back.
struct TapeWidth {
  int64_t input = 0;
  int64_t inside = 0;
};

std::vector<TapeWidth> tape_widths(const Model& model) {
  std::vector<TapeWidth> widths;
  int64_t stream = model.config.stream_width();
  for (size_t s = 0; s < stage_count(model); ++s) {
    const Stage& stage = stage_at(model, s);
    const int64_t out = stage.skip.empty() ? stream : stage.skip.rows;
    int64_t inside = stage.norm_place == NormPlace::kInput ? stream : 0;
    if (stage.norm_place == NormPlace::kSum) inside += out;
    for (const Branch& branch : stage.branches) {
      if (stage.norm_place == NormPlace::kBranch) inside += out;
      if (const auto* a = std::get_if<Attention>(&branch))
        inside += a->q.weight.rows + a->k.weight.rows + a->v.weight.rows + a->o.weight.cols;
      else
        inside += std::get<Mlp>(branch).gate.weight.rows + std::get<Mlp>(branch).up.weight.rows;
    }
    widths.push_back({stream, inside});
    stream = out;
  }
  return widths;
}

constexpr int64_t bytes_of_floats(int64_t count) { return count * static_cast<int64_t>(sizeof(float)); }

// Returns the first stage whose tape is kept, as all behind it, for a group of so many tokens.
size_t first_kept_stage(const Model& model, int64_t rows, int64_t most_bytes) {
  const std::vector<TapeWidth> widths = tape_widths(model);
  size_t first = widths.size();
  int64_t bytes = 0;
  while (first > 0) {
    bytes += bytes_of_floats(rows * widths[first - 1].inside);
    if (bytes > most_bytes) break;
    --first;
  }
  return first;
}

// Cuts a batch into groups.
std::vector<SequenceBatch> groups_of(const SequenceBatch& batch, const TrainingLimits& limits) {
  PARE_CHECK(batch.length > 0 && batch.rows() % batch.length == 0);
  const int64_t rows = rows_of_group(batch.length, limits);
  std::vector<SequenceBatch> groups;
  for (int64_t first = 0; first < batch.rows(); first += rows) {
    const auto from = batch.tokens.begin() + first;
    groups.push_back({{from, from + std::min(rows, batch.rows() - first)}, batch.length});
  }
  return groups;
}

// The loss of rows that begin behind `first` others.
TokenLoss behind(const TokenLoss& loss, int64_t first) {
  return [&loss, first](int64_t row, std::span<float> logits) { return loss(first + row, logits); };
}

// One group of sequences on its way through the model.
class GroupPass {
 public:
  GroupPass(const Model& model, const PackedEmbedding& embedding, SequenceBatch batch, ComputeType compute,
            const Backend& on)
      : model_(model),
        embedding_(embedding),
        batch_(std::move(batch)),
        compute_(compute),
        on_(on),
        rope_(sequence_rope(model.config, batch_.sequences(), batch_.length, on)),
        positions_(sequence_positions(batch_.sequences(), batch_.length)),
        x_(first_stream(embedding, batch_.tokens, positions_)) {}

  int64_t rows() const { return batch_.rows(); }
  // Width of the stream behind the stages that have run.
  int64_t width() const { return x_.cols(); }

  // Runs the next stage.
  void forward(const PackedStage& stage, const Observer& observer = {}) {
    const KvStores kv = kv_of(stage, batch_.sequences(), batch_.length);
    x_ = forward_stage(stage, x_, segments(kv), rope_, observer);
    if (!on_.all_finite(x_)) fail(ErrorCode::kNumeric, "stage {} gives a NaN or an infinity", stages_run_);
    ++stages_run_;
  }

  // Runs all stages; keeps the inputs of the first ones, and the tapes from `first_kept` on.
  void forward(const PackedBothWays& packed, size_t first_kept) {
    tapes_.reserve(packed.stages.size());
    for (size_t s = 0; s < packed.stages.size(); ++s) {
      tapes_.emplace_back(packed.stages[s]);
      if (s < first_kept) inputs_.push_back(x_);
      forward(packed.stages[s], s < first_kept ? Observer() : tapes_[s].observer());
    }
  }

  // Returns the sum of the losses; with `sums` also begins the backward pass.
  double head(const PackedHead& head, const TokenLoss& loss, const HeadAdjoint* adjoint = nullptr,
              GradientSums* sums = nullptr) {
    if (sums != nullptr) gradient_ = on_.allocate(x_.rows(), x_.cols());
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

  void backward(const PackedBothWays& packed, GradientSums& sums, GradientSums& outside) {
    for (size_t s = stages_run_; s-- > 0;) {
      StageTape tape = std::move(tapes_[s]);
      tapes_.pop_back();
      const PackedStage& stage = packed.stages[s];
      if (s < inputs_.size()) {
        const KvStores kv = kv_of(stage, batch_.sequences(), batch_.length);
        forward_stage(stage, inputs_[s], segments(kv), rope_, tape.observer());
        inputs_.pop_back();
      }
      sums.enter(s);
      gradient_ = backward_stage(packed.adjoints[s], tape, segments({}), rope_, gradient_, &sums);
    }
    embedding(outside);
  }

 private:
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
    on_.gather(*embedding_.table, tokens, given);
    const Role role = Role::kEmbeddingTransform;
    sums.linears(std::span(&role, 1), given, gradient_);
    sums.rows(Role::kEmbedding, tokens,
              applied(*pack_transposed(model_.embedding_transform, compute_, on_), gradient_));
  }

  const Model& model_;
  const PackedEmbedding& embedding_;
  SequenceBatch batch_;
  ComputeType compute_;
  const Backend& on_;
  RotaryTable rope_;
  std::vector<int64_t> positions_;
  size_t stages_run_ = 0;
  std::vector<Activation> inputs_;  // inputs of the first stages
  std::vector<StageTape> tapes_;    // one a stage; those that have an input in inputs_ are empty
  Activation x_;                    // output of the last stage that ran
  Activation gradient_;             // at the output of the next stage on the way back
};

}  // namespace

int64_t rows_of_group(int64_t length, const TrainingLimits& limits) {
  return std::max<int64_t>(1, limits.group_rows / length) * length;
}

HeldBytes held_bytes(const Model& model, int64_t length, const TrainingLimits& limits) {
  const int64_t rows = rows_of_group(length, limits);
  HeldBytes held;
  for (const TapeWidth& width : tape_widths(model)) {
    held.inputs += bytes_of_floats(rows * width.input);
    held.tapes += bytes_of_floats(rows * width.inside);
  }
  held.tapes = std::min(held.tapes, limits.tape_bytes);
  return held;
}

double TrainingPass::loss(const SequenceBatch& batch, const TokenLoss& loss) const {
  const PackedEmbedding embedding(model_, compute_, on_);
  std::vector<GroupPass> passes;
  for (SequenceBatch& group : groups_of(batch, limits_))
    passes.emplace_back(model_, embedding, std::move(group), compute_, on_);
  for (size_t s = 0; s < stage_count(model_); ++s) {
    const PackedStage stage = pack_stage(stage_at(model_, s), passes.front().width(), compute_, on_);
    for (GroupPass& pass : passes) pass.forward(stage);
  }
  const PackedHead head(model_, compute_, on_);
  double sum = 0.0;
  int64_t first = 0;
  for (GroupPass& pass : passes) {
    sum += pass.head(head, behind(loss, first));
    first += pass.rows();
  }
  return sum;
}

double TrainingPass::gradient(const SequenceBatch& batch, const TokenLoss& loss, const Parameters& layout,
                              std::span<float> gradient) const {
  GradientSums inside(model_, layout, gradient, compute_, on_);
  GradientSums outside(model_, layout, gradient, compute_, on_);
  const PackedEmbedding embedding(model_, compute_, on_);
  const PackedHead head(model_, compute_, on_);
  const PackedBothWays packed(model_, compute_, on_);
  double sum = 0.0;
  int64_t first = 0;
  for (SequenceBatch& group : groups_of(batch, limits_)) {
    GroupPass pass(model_, embedding, std::move(group), compute_, on_);
    pass.forward(packed, first_kept_stage(model_, pass.rows(), limits_.tape_bytes));
    sum += pass.head(head, behind(loss, first), &packed.head, &outside);
    pass.backward(packed, inside, outside);
    first += pass.rows();
  }
  return sum;
}

}  // namespace pare
