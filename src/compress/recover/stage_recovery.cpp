#include "compress/recover/stage_recovery.h"

#include <algorithm>

#include "base/aligned_buffer.h"
#include "compress/recover/weight_training.h"
#include "model/stage_at.h"
#include "train/parameters.h"
#include "train/stage_pass.h"

namespace pare {
namespace {

constexpr size_t kReusedBytes = size_t{512} << 20;

// One stage and the streams before and behind it.
class StageTraining {
 public:
  StageTraining(const Stage& stage, const Stage& origin, const StageStreams& streams,
                const ModelConfig& config, const RecoverOptions& options, uint64_t seed)
      : streams_(streams),
        options_(options),
        before_(model_of_stage(stage, config)),
        weights_(before_, model_of_stage(origin, config), options),
        split_(streams.walk.sequences(), options.held_back(streams.walk.seqlen())),
        order_(split_.trained, seed) {}

  // Trains to the end, or until numbers fail; then says where in `stopped`.
  void run(std::string& stopped) {
    for (const int64_t i : split_.held_back) energy_ += energy_of(streams_.dense->stream(i));
    start_ = best_loss_ = held_back_loss();
    if (!(start_ > 0.0)) return;
    try {
      for (int64_t step = 1; step <= options_.steps; ++step) {
        train(step);
        if (step * options_.checks / options_.steps > (step - 1) * options_.checks / options_.steps) check();
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kNumeric) throw;
      stopped = error.what();
    }
  }

  // Returns the best stage; the stage as it was where none is better.
  Stage best() const {
    return best_.empty() ? before_.blocks.front().stages.front()
                         : trained_model(before_, weights_.layout(), best_).blocks.front().stages.front();
  }
  // Squared distances on held-back sequences, relative to the squares of the target.
  double start() const { return relative(start_); }
  double best_loss() const { return relative(best_loss_); }

 private:
  double relative(double loss) const { return energy_ > 0.0 ? loss / energy_ : 0.0; }

  // Calls use(batch) with sequences side by side.
  template <typename Use>
  double with_batch(std::span<const int64_t> sequences, Use&& use) const {
    const int64_t length = streams_.walk.seqlen();
    const auto rows = static_cast<int64_t>(sequences.size()) * length;
    Matrix<float> input(rows, streams_.walk.stream(sequences.front()).cols);
    Matrix<float> target(rows, streams_.dense->stream(sequences.front()).cols);
    int64_t at = 0;
    for (const int64_t i : sequences) {
      copy_rows(streams_.walk.stream(i), input.view().rows_of(at, length));
      copy_rows(streams_.dense->stream(i), target.view().rows_of(at, length));
      at += length;
    }
    return use(StageBatch{std::as_const(input).view(), std::as_const(target).view(), length});
  }

  static double energy_of(MatrixView<const float> x) {
    double sum = 0.0;
    for (int64_t r = 0; r < x.rows; ++r)
      for (int64_t c = 0; c < x.cols; ++c) sum += static_cast<double>(x(r, c)) * static_cast<double>(x(r, c));
    return sum;
  }

  double held_back_loss() {
    const Model& averaged = weights_.averaged();
    double sum = 0.0;
    const auto most = static_cast<size_t>(options_.batch(streams_.walk.seqlen()));
    for (size_t first = 0; first < split_.held_back.size(); first += most)
      sum += with_batch(
          std::span(split_.held_back).subspan(first, std::min(most, split_.held_back.size() - first)),
          [&](const StageBatch& batch) { return stage_loss(averaged, batch, ComputeType::kBF16); });
    return sum;
  }

  void train(int64_t step) {
    const std::span<float> gradient = weights_.begin_step();
    const std::vector<int64_t> chosen = order_.of_step(step, options_.batch(streams_.walk.seqlen()));
    // In units of the loss at the start, whatever the size of the stream.
    const double share = static_cast<double>(chosen.size()) / static_cast<double>(split_.held_back.size());
    with_batch(chosen, [&](const StageBatch& batch) {
      return stage_gradient(weights_.model(), batch, ComputeType::kBF16, 1.0 / (share * start_),
                            weights_.layout(), gradient);
    });
    weights_.end_step(step, options_.steps);
  }

  void check() {
    const double loss = held_back_loss();
    if (!(loss < best_loss_)) return;
    best_loss_ = loss;
    best_.assign(weights_.average().begin(), weights_.average().end());
  }

  const StageStreams& streams_;
  const RecoverOptions& options_;
  Model before_;
  WeightTraining weights_;
  TrainingSplit split_;
  SequenceOrder order_;
  double energy_ = 0.0;
  double start_ = 0.0;
  double best_loss_ = 0.0;
  std::vector<float> best_;
};

class StageRecovery final : public StageEditor {
 public:
  StageRecovery(const Model& teacher, const ModelConfig& config, const RecoverOptions& options, uint64_t seed)
      : teacher_(teacher), config_(config), options_(options), seed_(seed) {}

  std::string activity() const override { return "training"; }
  bool needs_dense() const override { return true; }
  const Model* target_model() const override { return &teacher_; }

  Stage edit(const Stage& stage, StagePosition position, const StageStreams& streams, bool advance,
             Report& report) override {
    const std::string name = fmt::format("stage {}", position.index);
    Stage result = stage;
    if (!stage.branches.empty() || !stage.skip.empty()) {
      const BufferReuse reuse(kReusedBytes);
      StageTraining training(stage, stage_at(teacher_, position.index), streams, config_, options_,
                             seed_ + position.index);
      std::string stopped;
      training.run(stopped);
      result = training.best();
      report.add("recovery", {{"name", name},
                              {"relative_error_before", training.start()},
                              {"relative_error", training.best_loss()}});
      if (!stopped.empty())
        report.fallbacks.push_back(fmt::format("{}: training stopped: {}", name, stopped));
    }
    if (advance) streams.walk.run(result, name);
    return result;
  }

 private:
  const Model& teacher_;
  ModelConfig config_;
  RecoverOptions options_;
  uint64_t seed_;
};

}  // namespace

void require_same_streams(const Model& model, const Model& teacher) {
  const auto widths = [](const Model& of) {
    std::vector<int64_t> all = {of.config.stream_width()};
    for (const Block& block : of.blocks)
      for (const Stage& stage : block.stages)
        all.push_back(stage.skip.empty() ? all.back() : stage.skip.rows);
    return all;
  };
  if (widths(model) != widths(teacher))
    fail(ErrorCode::kInvalid,
         "`scope stages` compares the streams behind the layers, which differ in number or width from the "
         "teacher's: `scope model` compares predictions");
  if (values_before(model.embedding, teacher.embedding).empty())
    fail(ErrorCode::kInvalid,
         "`scope stages` compares the streams behind the layers, which have other channels than the "
         "teacher's, rotated or shuffled (`shuffle none` of sparsify leaves them): `scope model` compares "
         "predictions");
}

std::unique_ptr<StageEditor> recover_stages(const Model& teacher, const ModelConfig& config,
                                            const RecoverOptions& options, const PassContext& context) {
  return std::make_unique<StageRecovery>(teacher, config, options, context.training.seed);
}

}  // namespace pare
