#include "train/stage_pass.h"

#include <cmath>
#include <numeric>
#include <vector>

#include "base/parallel.h"
#include "runtime/backward.h"
#include "train/gradient_sums.h"

namespace pare {
namespace {

// The stage of a batch, packed, with rooms for its keys and values.
class StageRun {
 public:
  StageRun(const Model& one_stage, const StageBatch& batch, ComputeType compute)
      : on_(default_backend()),
        stage_(one_stage.blocks.front().stages.front()),
        batch_(batch),
        sequences_(batch.input.rows / batch.length),
        packed_(pack_stage(stage_, batch.input.cols, compute)),
        kv_(kv_of(packed_, sequences_, batch.length)),
        rope_(sequence_rope(one_stage.config, sequences_, batch.length)) {
    PARE_CHECK(batch.input.rows == sequences_ * batch.length && batch.target.rows == batch.input.rows);
    for (int64_t s = 0; s < sequences_; ++s)
      segments_.push_back(
          {s * batch.length, batch.length, 0, kv_.empty() ? nullptr : kv_[static_cast<size_t>(s)].get()});
  }

  // Runs the stage. The output becomes its distance from the target; returns the sum of its squares.
  double forward(const Observer& observer) {
    Matrix<float> y =
        download(forward_stage(packed_, on_.borrow(batch_.input), segments_, rope_, observer)).matrix();
    PARE_CHECK(y.cols() == batch_.target.cols);
    std::vector<double> sums(static_cast<size_t>(y.rows()));
    parallel_for(y.rows(), [&](int64_t r) {
      double sum = 0.0;
      for (int64_t c = 0; c < y.cols(); ++c) {
        y(r, c) -= batch_.target(r, c);
        sum += static_cast<double>(y(r, c)) * static_cast<double>(y(r, c));
      }
      sums[static_cast<size_t>(r)] = sum;
    });
    distance_ = std::move(y);
    const double sum = std::accumulate(sums.begin(), sums.end(), 0.0);
    if (!std::isfinite(sum)) fail(ErrorCode::kNumeric, "the stage gives a NaN or an infinity");
    return sum;
  }

  void backward(const StageTape& tape, double scale, ComputeType compute, GradientSums& sums) {
    const auto factor = static_cast<float>(2.0 * scale);
    for (int64_t i = 0; i < distance_.size(); ++i) distance_.data()[i] *= factor;
    backward_stage(pack_adjoint(stage_, compute), tape, segments_, rope_, on_.upload(std::move(distance_)),
                   &sums);
  }

  const PackedStage& packed() const { return packed_; }

 private:
  const Backend& on_;
  const Stage& stage_;
  const StageBatch& batch_;
  int64_t sequences_;
  PackedStage packed_;
  KvStores kv_;
  RotaryTable rope_;
  std::vector<Segment> segments_;
  Matrix<float> distance_;
};

}  // namespace

Model model_of_stage(const Stage& stage, const ModelConfig& config) {
  Model model;
  model.config = config;
  model.blocks = {{{stage}}};
  return model;
}

double stage_loss(const Model& one_stage, const StageBatch& batch, ComputeType compute) {
  return StageRun(one_stage, batch, compute).forward({});
}

double stage_gradient(const Model& one_stage, const StageBatch& batch, ComputeType compute, double scale,
                      const Parameters& layout, std::span<float> gradient) {
  StageRun run(one_stage, batch, compute);
  StageTape tape(run.packed());
  const double loss = run.forward(tape.observer());
  GradientSums sums(one_stage, layout, gradient, compute, default_backend());
  sums.enter(0);
  run.backward(tape, scale, compute, sums);
  return loss;
}

}  // namespace pare
