#include "compress/calibrate/loss_weights.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "base/parallel.h"
#include "base/rng.h"
#include "compress/calibrate/input_group.h"
#include "compress/walk/stage_loop.h"
#include "kernels/log_sum_exp.h"
#include "model/stage_at.h"
#include "model/visit.h"
#include "runtime/backward.h"

namespace pare {
namespace {

constexpr const char* kName = "loss-weights";
constexpr int64_t kHeldBytes = int64_t{512} << 20;  // inputs of all stages of a group of sequences, at most
constexpr double kShare = 0.5;                      // share of the energies; the rest counts tokens alike
constexpr int64_t kLogitRows = 64;                  // tokens whose logits are held at once

int64_t input_bytes(const Model& model, int64_t seqlen) {
  return static_cast<int64_t>((stage_count(model) + 1) * sizeof(float)) * seqlen *
         widest_stream(model.config);
}

int64_t sequences_at_once(const Model& model, int64_t seqlen) {
  return std::max<int64_t>(1, kHeldBytes / input_bytes(model, seqlen));
}

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

// The forward and the backward pass of one group of sequences.
class LossWeights::Pass {
 public:
  Pass(const Model& model, const CalibrationSet& set, LossWeights& weights, int64_t first, int64_t count)
      : model_(model),
        set_(set),
        weights_(weights),
        first_(first),
        count_(count),
        rope_(sequence_rope(model.config, 1, weights.seqlen_)),
        on_(default_backend()) {}

  void run(const std::function<void()>& stage_done) {
    begin();
    for (size_t s = 0; s < weights_.stages_; ++s) {
      forward(s);
      stage_done();
    }
    end();
    for (size_t s = weights_.stages_; s-- > 0;) {
      backward(s);
      stage_done();
    }
  }

 private:
  // Records the energies at the outputs of a stage's linears, of one sequence.
  class EnergyRecorder final : public GradientObserver {
   public:
    EnergyRecorder(const Pass& pass, size_t stage, int64_t sequence)
        : pass_(pass), stage_(stage), sequence_(sequence) {}
    void linears(std::span<const Role> roles, const Activation& /*x*/, const Activation& dy) override {
      int64_t column = 0;
      for (const Role role : roles) {
        const int64_t width = linear_of(stage_at(pass_.model_, stage_), role).weight.rows;
        pass_.record({stage_, role}, sequence_, 0, download(dy.columns_of(column, width)).view());
        column += width;
      }
    }

   private:
    const Pass& pass_;
    size_t stage_;
    int64_t sequence_;
  };

  const std::vector<int32_t>& tokens(int64_t i) const {
    return set_.sequences[static_cast<size_t>(weights_.split_.first() + first_ + i)];
  }

  void begin() {
    const PackedEmbedding embedding(model_, calibration_compute());
    const std::vector<int64_t> positions = sequence_positions(1, weights_.seqlen_);
    inputs_.resize(weights_.stages_ + 1);
    for (int64_t i = 0; i < count_; ++i) inputs_[0].push_back(first_stream(embedding, tokens(i), positions));
  }

  PackedStage packed(size_t s) const {
    return pack_stage(stage_at(model_, s), inputs_[s].front().cols(), calibration_compute());
  }

  void forward(size_t s) {
    const PackedStage stage = packed(s);
    const KvStores kv = kv_of(stage, 1, weights_.seqlen_);
    const Segment segment = whole(kv);
    for (const Activation& x : inputs_[s])
      inputs_[s + 1].push_back(forward_stage(stage, x, std::span(&segment, 1), rope_));
  }

  // The gradient at the output of the last stage.
  void end() {
    const PackedHead head(model_, calibration_compute());
    const HeadAdjoint adjoint(model_, calibration_compute());
    for (int64_t i = 0; i < count_; ++i) {
      const Activation& x = inputs_.back()[static_cast<size_t>(i)];
      gradients_.push_back(on_.allocate(x.rows(), x.cols()));
      // A sequence has draws of its own, whoever works on it.
      Rng rng(set_.seed + static_cast<uint64_t>(weights_.split_.first() + first_ + i));
      for (int64_t t = 0; t < x.rows(); t += kLogitRows) {
        const int64_t n = std::min(kLogitRows, x.rows() - t);
        const Activation rows = x.rows_of(t, n);
        const Activation logits = on_.allocate(n, head.logits->out_features());
        head.logits->apply(head_input(head, rows), logits);
        Matrix<float> gradient = download(logits).matrix();
        std::vector<double> draws(static_cast<size_t>(n));
        for (double& draw : draws) draw = rng.uniform();
        parallel_for(n, [&](int64_t r) {
          const std::span<float> row(gradient.row(r), static_cast<size_t>(gradient.cols()));
          softmax(row);
          row[drawn(row, draws[static_cast<size_t>(r)])] -= 1.0f;
        });
        record({weights_.stages_, Role::kHead}, i, t, std::as_const(gradient).view());
        on_.copy(backward_head(adjoint, head, rows, on_.upload(std::move(gradient))),
                 gradients_.back().rows_of(t, n));
      }
    }
    inputs_.back().clear();
  }

  void backward(size_t s) {
    const PackedStage stage = packed(s);
    const StageAdjoint adjoint = pack_adjoint(stage_at(model_, s), calibration_compute());
    const KvStores kv = kv_of(stage, 1, weights_.seqlen_);
    const Segment segment = whole(kv);
    for (int64_t i = 0; i < count_; ++i) {
      StageTape tape(stage);
      forward_stage(stage, inputs_[s][static_cast<size_t>(i)], std::span(&segment, 1), rope_,
                    tape.observer());
      Activation& gradient = gradients_[static_cast<size_t>(i)];
      EnergyRecorder recorder(*this, s, i);
      gradient = backward_stage(adjoint, tape, std::span(&segment, 1), rope_, gradient, &recorder);
      if (!on_.all_finite(gradient))
        fail(ErrorCode::kNumeric, "stage {}: the loss's gradient holds a NaN or an infinity", s);
    }
    inputs_[s].clear();
    release_pages(stage_at(model_, s));
  }

  Segment whole(const KvStores& kv) const {
    return {0, weights_.seqlen_, 0, kv.empty() ? nullptr : kv.front().get()};
  }

  // Writes the energies of gradients of tokens from `token` on of the group's sequence i.
  void record(const Place& place, int64_t i, int64_t token, MatrixView<const float> gradient) const {
    const int64_t own_tokens = weights_.split_.count() * weights_.seqlen_;
    const MatrixView<float> row = weights_.energies_.rows(weights_.rows_.at(place), 1, own_tokens);
    float* energies = row.row(0) + (first_ + i) * weights_.seqlen_ + token;
    for (int64_t t = 0; t < gradient.rows; ++t) {
      double sum = 0.0;
      for (int64_t c = 0; c < gradient.cols; ++c)
        sum += static_cast<double>(gradient(t, c)) * static_cast<double>(gradient(t, c));
      energies[t] = static_cast<float>(sum);
    }
  }

  const Model& model_;
  const CalibrationSet& set_;
  LossWeights& weights_;
  int64_t first_;  // first sequence of the group, among this rank's
  int64_t count_;
  RotaryTable rope_;
  const Backend& on_;
  std::vector<std::vector<Activation>> inputs_;  // inputs of each stage, for each sequence
  std::vector<Activation> gradients_;            // gradients at the input of the stage behind
};

LossWeights::LossWeights(const Model& model, const CalibrationSet& set, WorkArea& area,
                         const PassProgress& progress)
    : split_(area.comm(), static_cast<int64_t>(set.sequences.size())),
      seqlen_(set.seqlen()),
      stages_(stage_count(model)) {
  int64_t linears = 0;
  for (size_t s = 0; s < stages_; ++s)
    for_each_linear(stage_at(model, s), [&](Role role, const Linear&) {
      rows_.emplace(Place{s, role}, linears++);
    });
  rows_.emplace(Place{stages_, Role::kHead}, linears++);
  energies_ = area.stream(kName, linears * split_.count() * seqlen_);
  // Groups are equally many on every rank: a step is finished when all have come to its end.
  const int64_t most = share_of(split_.total(), kSampleChunks) * (kSampleChunks / area.comm().size());
  const int64_t groups = share_of(most, sequences_at_once(model, seqlen_));
  struct Energies {
    WorkArea& area;
    const ActivationFile& file;
    Json position() const { return {{"boot", boot_id()}}; }
    bool restore(const Json& at) const {
      return area.comm().all(file.was_there() && at.at("boot").get<std::string>() == boot_id());
    }
  };
  Energies energies{area, energies_};
  StageLoop loop(area, kName, {{"energies", energies}});
  if (loop.is_new()) loop.begin();
  for (int64_t g = 0; g < groups; ++g) {
    if (loop.finished(static_cast<size_t>(g)) != nullptr) continue;
    const int64_t first = g * split_.count() / groups;
    const int64_t last = (g + 1) * split_.count() / groups;
    int64_t done = 0;
    const auto steps = static_cast<int64_t>(2 * stages_);
    const auto stage_done = [&] {
      ++done;
      if (progress) progress("reading the loss's gradient", g * steps + done, groups * steps);
    };
    if (last > first) Pass(model, set, *this, first, last - first).run(stage_done);
    loop.record(static_cast<size_t>(g));
  }
}

std::vector<double> LossWeights::of(size_t stage, std::span<const Role> roles) const {
  std::vector<Place> places;
  for (const Role role : roles) places.emplace_back(stage, role);
  return normalised(places);
}

std::vector<double> LossWeights::of_head() const {
  const Place place{stages_, Role::kHead};
  return normalised(std::span(&place, 1));
}

std::vector<double> LossWeights::normalised(std::span<const Place> places) const {
  const int64_t own_tokens = split_.count() * seqlen_;
  std::vector<double> weights(static_cast<size_t>(own_tokens), 0.0);
  const double all_tokens = static_cast<double>(split_.total() * seqlen_);
  for (const Place& place : places) {
    const float* energies = energies_.rows(rows_.at(place), 1, own_tokens).row(0);
    ChunkSum sum(split_, 1, 1);
    for (int64_t s = 0; s < split_.count(); ++s) {
      const MatrixView<double> to = sum.next();
      for (int64_t t = 0; t < seqlen_; ++t) to(0, 0) += static_cast<double>(energies[s * seqlen_ + t]);
    }
    const double total = std::move(sum).total()(0, 0);
    const double share = 1.0 / static_cast<double>(places.size());
    for (size_t t = 0; t < weights.size(); ++t)
      weights[t] += total > 0.0 ? share * all_tokens / total * static_cast<double>(energies[t]) : share;
  }
  for (double& weight : weights) weight = kShare * weight + (1.0 - kShare);
  return weights;
}

int64_t loss_weights_bytes(const Model& model, int64_t seqlen) {
  // Beside the held inputs: the logits of some tokens, twice, and the tape of a stage, which is a few times
  // as wide as the widest input of a linear.
  const int64_t held = sequences_at_once(model, seqlen) * input_bytes(model, seqlen);
  return held + 2 * kLogitRows * model.config.vocab_size * static_cast<int64_t>(sizeof(float)) +
         8 * seqlen * widest_input(model) * static_cast<int64_t>(sizeof(float));
}

}  // namespace pare
