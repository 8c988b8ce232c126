#include "compress/calibrate/loss_weights.h"

#include <algorithm>

#include "compress/calibrate/gradient_walk.h"
#include "compress/walk/stage_loop.h"
#include "model/stage_at.h"
#include "model/visit.h"

namespace pare {
namespace {

constexpr const char* kName = "loss-weights";
constexpr int64_t kHeldBytes = int64_t{512} << 20;  // inputs of all stages of a group of sequences, at most
constexpr double kShare = 0.5;                      // share of the energies; the rest counts tokens alike

int64_t sequences_at_once(const Model& model, int64_t seqlen) {
  return std::max<int64_t>(1, kHeldBytes / (held_bytes_of_token(model) * seqlen));
}

}  // namespace

// Records the energies at the outputs of linears, of a group of sequences.
class LossWeights::Recorder final : public GradientVisitor {
 public:
  // `first`: first sequence of the group, among this rank's.
  Recorder(const Model& model, LossWeights& weights, int64_t first)
      : model_(model), weights_(weights), first_(first) {}

  void logits(int64_t sequence, int64_t token, MatrixView<const float> gradient) override {
    record({weights_.stages_, Role::kHead}, sequence, token, gradient);
  }
  void linears(size_t stage, int64_t sequence, std::span<const Role> roles, const Activation& /*x*/,
               const Activation& dy) override {
    int64_t column = 0;
    for (const Role role : roles) {
      const int64_t width = linear_of(stage_at(model_, stage), role).weight.rows;
      record({stage, role}, sequence, 0, download(dy.columns_of(column, width)).view());
      column += width;
    }
  }

 private:
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
  LossWeights& weights_;
  int64_t first_;
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
    if (last > first) {
      Recorder recorder(model, *this, first);
      GradientWalk(model, set, split_.first() + first, last - first).run(recorder, stage_done);
    }
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
  return sequences_at_once(model, seqlen) * seqlen * held_bytes_of_token(model) +
         gradient_walk_bytes(model, seqlen);
}

}  // namespace pare
