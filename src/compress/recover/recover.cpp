#include "compress/recover/recover.h"

#include <algorithm>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/log.h"
#include "compress/estimate.h"
#include "compress/recover/teacher_rows.h"
#include "compress/recover/weight_training.h"
#include "compress/walk/activation_pair.h"
#include "train/stage_pass.h"

namespace pare {
namespace {

constexpr const char* kStep = "training";
constexpr const char* kDone = "recovered";
constexpr double kDiverged = 2.0;  // times the loss at the start, and 0.1 more: training has diverged
constexpr double kRest = 20.0;     // time between checkpoints, in times that one takes
constexpr size_t kReusedBytes = size_t{1} << 30;
constexpr int64_t kCheckedTokens = int64_t{1} << 14;  // held-back tokens that run at once

// Where a training stands.
struct TrainingState {
  int64_t step = 0;  // steps that were made
  int64_t best_step = 0;
  double start_loss = 0.0;
  double best_loss = 0.0;
  double losses = 0.0;  // losses of the steps since the last check
  int64_t steps_since_check = 0;
  std::vector<Json> checks;
  std::string stopped;  // why; empty: it was not

  bool is_better() const { return best_step > 0; }
};

// Calls visit(name, member) for every member.
template <typename State, typename Visit>
void for_each_member(State& state, Visit&& visit) {
  visit("step", state.step);
  visit("best_step", state.best_step);
  visit("start_loss", state.start_loss);
  visit("best_loss", state.best_loss);
  visit("losses", state.losses);
  visit("steps_since_check", state.steps_since_check);
  visit("checks", state.checks);
  visit("stopped", state.stopped);
}

Json to_json(const TrainingState& state) {
  Json json;
  for_each_member(state, [&](const char* name, const auto& member) { json[name] = member; });
  return json;
}

TrainingState state_of(const Json& json) {
  TrainingState state;
  for_each_member(state, [&](const char* name, auto& member) { json.at(name).get_to(member); });
  return state;
}

class Training {
 public:
  Training(const Model& model, const Model& teacher, const TeacherRows& rows, const RecoverOptions& options,
           const PassContext& context)
      : teacher_(rows),
        options_(options),
        context_(context),
        weights_(model, teacher, options),
        split_(static_cast<int64_t>(context.training.sequences.size()),
               options.held_back(context.training.seqlen())),
        order_(split_.trained, context.training.seed),
        best_(context.area.stream("best", size(), true)) {}

  // Trains to the end; best() holds the result.
  void run() {
    if (!restore()) begin();
    for (int64_t step = state_.step + 1; step <= options_.steps && state_.stopped.empty(); ++step) {
      if (context_.progress) context_.progress("training", step - 1, options_.steps);
      try {
        train(step);
        state_.step = step;
        if (step * options_.checks / options_.steps > (step - 1) * options_.checks / options_.steps) check();
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kNumeric) throw;
        stop(fmt::format("step {}: {}", step, error.what()));
      }
      // Checkpoints take a small share of the time, however large they are.
      const double rest = keeping_ < 1.0 ? 0.0 : kRest * keeping_;
      if (since_checkpoint_.seconds() >= std::max(options_.checkpoint_seconds, rest)) keep();
    }
  }

  const Parameters& layout() const { return weights_.layout(); }
  std::span<const float> best() const {
    return {best_.rows(0, 1, size()).row(0), static_cast<size_t>(size())};
  }
  const TrainingState& state() const { return state_; }

 private:
  int64_t size() const { return weights_.layout().size(); }

  void begin() {
    // The files of a killed run are there from now on, but incomplete: no later run may take them.
    if (context_.area.find(kStep) != nullptr) context_.area.record(kStep, {{"boot", ""}, {"slot", 0}});
    state_.start_loss = held_back_loss(weights_.averaged());
    state_.best_loss = state_.start_loss;
    copy_best();
    add_check(state_.start_loss);
  }

  void train(int64_t step) {
    const std::span<float> gradient = weights_.begin_step();
    const std::vector<int64_t> chosen = order_.of_step(step, options_.batch(context_.training.seqlen()));
    const auto tokens = static_cast<double>(chosen.size()) * static_cast<double>(context_.training.seqlen());
    // Where memory is short, stages run once more instead of being kept.
    const TrainingLimits limits = {.tape_bytes = context_.area.spills() ? 0 : TrainingLimits().tape_bytes};
    const double loss =
        TrainingPass(weights_.model(), compute(), default_backend(), limits)
            .gradient(batch_of(context_.training, chosen), loss_of(chosen, 1.0 / tokens), layout(), gradient);
    weights_.end_step(step, options_.steps);
    state_.losses += loss / tokens;
    ++state_.steps_since_check;
  }

  void check() {
    const double loss = held_back_loss(weights_.averaged());
    if (loss < state_.best_loss) {
      state_.best_loss = loss;
      state_.best_step = state_.step;
      copy_best();
    }
    add_check(loss);
    log_info(
        "step {} of {}: KL {:.4f} nats a token on held-back text, {:.4f} before training, {:.4f} on the "
        "trained",
        state_.step, options_.steps, loss, state_.start_loss, state_.checks.back().value("trained_kl", 0.0));
    if (loss > kDiverged * state_.start_loss + 0.1)
      stop(fmt::format("step {}: the loss on held-back text is {:.4f}, {:.4f} before training", state_.step,
                       loss, state_.start_loss));
  }

  void add_check(double loss) {
    Json entry = {{"name", fmt::format("step {}", state_.step)}, {"kl", loss}};
    if (state_.steps_since_check > 0)
      entry["trained_kl"] = state_.losses / static_cast<double>(state_.steps_since_check);
    state_.losses = 0.0;
    state_.steps_since_check = 0;
    state_.checks.push_back(std::move(entry));
  }

  void stop(std::string reason) {
    log_warning("training stops at {}; the best of before is kept", reason);
    state_.stopped = std::move(reason);
  }

  double held_back_loss(const Model& model) const {
    const TrainingPass pass(model, compute());
    const auto most = static_cast<size_t>(std::max<int64_t>(1, kCheckedTokens / context_.training.seqlen()));
    double loss = 0.0;
    for (size_t first = 0; first < split_.held_back.size(); first += most) {
      const std::span<const int64_t> some =
          std::span(split_.held_back).subspan(first, std::min(most, split_.held_back.size() - first));
      loss += pass.loss(batch_of(context_.training, some), loss_of(some, 1.0));
    }
    const auto tokens =
        static_cast<double>(split_.held_back.size()) * static_cast<double>(context_.training.seqlen());
    return loss < 0.0 ? 0.0 : loss / tokens;  // below zero by rounding alone
  }

  TokenLoss loss_of(std::span<const int64_t> sequences, double scale) const {
    const int64_t length = context_.training.seqlen();
    return [this, sequences, scale, length](int64_t row, std::span<float> logits) {
      return distil(teacher_.at(sequences[static_cast<size_t>(row / length)], row % length), scale, logits);
    };
  }

  void copy_best() { write(weights_.average(), best_, 0); }

  // Writes an array into a file, whose pages do not stay in memory.
  static void write(std::span<const float> array, ActivationFile& file, int64_t at) {
    const MatrixView<float> to = file.rows(at, static_cast<int64_t>(array.size()), 1);
    std::ranges::copy(array, to.row(0));
    file.release(to);
  }

  // Keeps the state in one of two places in turn: the other is the one that the record names.
  void keep() {
    since_checkpoint_ = {};
    if (!context_.area.is_durable()) return;
    const Stopwatch watch;
    const int64_t slot = 1 - slot_;
    ActivationFile file = checkpoint(slot);
    int64_t at = 0;
    for (const std::span<float> array : weights_.kept()) {
      write(array, file, at);
      at += static_cast<int64_t>(array.size());
    }
    slot_ = slot;
    context_.area.record(kStep, {{"boot", boot_id()}, {"slot", slot_}, {"state", to_json(state_)}});
    keeping_ = watch.seconds();
    since_checkpoint_ = {};
  }

  bool restore() {
    const Json* record = context_.area.find(kStep);
    if (record == nullptr || !context_.area.is_durable()) return false;
    ActivationFile file = checkpoint(record->at("slot").get<int64_t>());
    if (record->at("boot").get<std::string>() != boot_id() || !file.was_there() || !best_.was_there())
      return false;
    int64_t at = 0;
    for (const std::span<float> array : weights_.kept()) {
      const auto count = static_cast<int64_t>(array.size());
      std::copy_n(std::as_const(file).rows(at, count, 1).row(0), count, array.begin());
      at += count;
    }
    slot_ = record->at("slot").get<int64_t>();
    state_ = state_of(record->at("state"));
    return true;
  }

  ActivationFile checkpoint(int64_t slot) {
    int64_t floats = 0;
    for (const std::span<float> array : weights_.kept()) floats += static_cast<int64_t>(array.size());
    return context_.area.stream(fmt::format("checkpoint-{}", slot), floats, true);
  }

  static ComputeType compute() { return ComputeType::kBF16; }

  const TeacherRows& teacher_;
  const RecoverOptions& options_;
  const PassContext& context_;
  WeightTraining weights_;
  TrainingSplit split_;
  SequenceOrder order_;
  ActivationFile best_;
  Stopwatch since_checkpoint_;
  double keeping_ = 0.0;  // seconds that the last checkpoint took
  int64_t slot_ = 1;
  TrainingState state_;
};

std::string weight_name(size_t index) { return fmt::format("recovered-{}", index); }

// Takes the values into the model, each matrix kept as it will be written.
void finish(Model& model, const Parameters& layout, std::span<const float> values, WorkArea& area) {
  size_t index = 0;
  model = trained_model(model, layout, values,
                        [&](Weight weight) { return area.keep(weight_name(index++), weight); });
  std::vector<double> vectors;
  for_each_tensor(
      model, [](const TensorPlace&, const Weight&) {},
      [&](const TensorPlace&, const std::vector<float>& vector) {
        vectors.insert(vectors.end(), vector.begin(), vector.end());
      });
  Matrix<double> kept(1, static_cast<int64_t>(vectors.size()));
  std::copy(vectors.begin(), vectors.end(), kept.data());
  area.keep("recovered-vectors", kept);
}

void take_kept(Model& model, const WorkArea& area) {
  size_t index = 0;
  int64_t at = 0;
  const Matrix<double> vectors = area.kept_matrix("recovered-vectors");
  for_each_tensor(
      model, [&](const TensorPlace&, Weight& weight) { weight = area.kept(weight_name(index++)); },
      [&](const TensorPlace&, std::vector<float>& vector) {
        for (float& value : vector) value = static_cast<float>(vectors(0, at++));
      });
}

void forget_streams(const WorkArea& area) {
  for (const char* name : {"best", "checkpoint-0", "checkpoint-1", "teacher"}) area.forget_stream(name);
}

}  // namespace

void recover(Model& model, const Model& teacher, const RecoverOptions& options, const PassContext& context) {
  validate(options);
  WorkArea& area = context.area;
  context.report.recipe = {{"method", "recover"}, {"options", to_json(options)}};
  const auto add = [&](const TrainingState& state) {
    for (const Json& check : state.checks) context.report.add("recovery", check);
    if (!state.stopped.empty())
      context.report.fallbacks.push_back(fmt::format("training stopped at {}", state.stopped));
    if (!state.is_better())
      context.report.fallbacks.emplace_back("training did not lower the loss: the model stays as it was");
  };
  if (const Json* record = area.is_durable() ? area.find(kDone) : nullptr) {
    const TrainingState state = state_of(*record);
    if (state.is_better()) take_kept(model, area);
    forget_streams(area);
    return add(state);
  }
  const BufferReuse reuse(kReusedBytes);
  const TeacherRows rows(teacher, context.training, area, context.progress);
  {
    Training training(model, teacher, rows, options, context);
    training.run();
    if (training.state().is_better()) finish(model, training.layout(), training.best(), area);
    add(training.state());
    area.record(kDone, to_json(training.state()));
  }
  forget_streams(area);
}

namespace {

// Bytes that a step holds beside weights and what waits for the way back: what happens inside the widest
// stage to rows, and `vocab` logits of some.
int64_t step_bytes(const Model& model, int64_t rows, int64_t vocab) {
  constexpr int64_t kInside = 9;  // copies of what the first linears of a branch give
  constexpr int64_t kLogits = 3;  // copies of logits
  int64_t widest = 0;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages)
      for_each_linear(stage, [&](Role, const Linear& linear) {
        widest = std::max({widest, linear.weight.rows, linear.weight.cols});
      });
  const int64_t inside = kInside * rows * widest;
  const int64_t logits = kLogits * std::min(rows, kLossRows) * vocab;
  return std::max(inside, logits) * static_cast<int64_t>(sizeof(float)) + static_cast<int64_t>(kReusedBytes);
}

Needs needs_of_stages(const Model& model, const RecoverOptions& options, const CalibrationPlan& plan,
                      Encoding dtype, int64_t tokens) {
  int64_t widest = 0;  // values of the largest stage
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages)
      widest = std::max(widest, Parameters(model_of_stage(stage, model.config)).size());
  const int64_t streams = model.config.design.norm_place == NormPlace::kInput ? 4 : 5;
  Needs needs;
  // The arrays of a stage with the best one, its weights in both directions; two walks.
  needs.memory = kProgramMemory + (WeightTraining::kArrays + 4) * widest * 4 +
                 2 * options.batch(plan.seqlen) * plan.seqlen * widest_stream(model.config) * 4 +
                 step_bytes(model, options.batch(plan.seqlen) * plan.seqlen, 0);
  needs.activations = streams * tokens * widest_stream(model.config) * 4;
  needs.disk = needs.activations + 2 * row_bytes(dtype, model_size(model).dense_parameters);
  return needs;
}

// Seconds of a step of all stages, from those of the first block.
double seconds_of_stages(const Model& model, const RecoverOptions& options, const CalibrationPlan& plan) {
  const int64_t rows = options.batch(plan.seqlen) * plan.seqlen;
  double seconds = 0.0;
  int64_t width = model.config.stream_width();
  for (const Stage& stage : model.blocks.front().stages) {
    const Model one = model_of_stage(stage, model.config);
    const Parameters layout(one);
    std::vector<float> gradient(static_cast<size_t>(layout.size()));
    Matrix<float> input = Matrix<float>::zeros(rows, width);
    for (int64_t i = 0; i < input.size(); ++i) input.data()[i] = static_cast<float>(i % 17) - 8.0f;
    if (!stage.skip.empty()) width = stage.skip.rows;
    const Matrix<float> target = Matrix<float>::zeros(rows, width);
    const Stopwatch watch;
    stage_gradient(one, {std::as_const(input).view(), target.view(), plan.seqlen}, ComputeType::kBF16, 1.0,
                   layout, gradient);
    seconds += watch.seconds();
  }
  return seconds * static_cast<double>(model.blocks.size());
}

}  // namespace

Needs recover_needs(const Model& model, const RecoverOptions& options, const CalibrationPlan& plan,
                    Encoding dtype) {
  const int64_t tokens = std::max(plan.training, plan.nsamples) * plan.seqlen;
  if (options.scope == RecoverScope::kStages) return needs_of_stages(model, options, plan, dtype, tokens);
  const int64_t array = Parameters(model).size() * static_cast<int64_t>(sizeof(float));
  const HeldBytes held = held_bytes(model, plan.seqlen);
  const int64_t packed = array;                             // in both directions, 2 bytes a value
  const int64_t turned = model.head_weight().values() * 4;  // while it is packed
  int64_t beside = 0;  // codes of the last step and of the average, and masks
  for_each_tensor(
      model,
      [&](const TensorPlace&, const Weight& weight) {
        if (CodedRows::can_train(weight)) beside += 2 * weight.bytes();
        if (keeps_zeros(weight)) beside += weight.values() / 8;
      },
      [](const TensorPlace&, const std::vector<float>&) {});
  Needs needs;
  needs.memory = kProgramMemory + WeightTraining::kArrays * array + packed + turned + beside + held.inputs +
                 step_bytes(model, rows_of_group(plan.seqlen), model.config.vocab_size);
  needs.activations = held.tapes;
  needs.disk = TeacherRows::bytes(tokens) + array * (1 + 2 * WeightTraining::kKeptArrays) +
               2 * row_bytes(dtype, model_size(model).dense_parameters);
  return needs;
}

double recover_seconds(const Model& model, const RecoverOptions& options, const CalibrationPlan& plan) {
  const auto steps = static_cast<double>(options.steps);
  if (options.scope == RecoverScope::kStages) return steps * seconds_of_stages(model, options, plan);
  const Parameters layout(model);
  std::vector<float> gradient(static_cast<size_t>(layout.size()));
  const int64_t count = options.batch(plan.seqlen);
  CalibrationSet set;
  set.sequences = random_sequences(model.config, count, plan.seqlen);
  std::vector<int64_t> all(static_cast<size_t>(count));
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
  const TrainingPass pass(model, ComputeType::kBF16);
  const TeacherRow even = teacher_row(std::vector<float>(static_cast<size_t>(model.config.vocab_size), 0.0f));
  const Stopwatch watch;
  pass.gradient(
      batch_of(set, all), [&](int64_t, std::span<float> logits) { return distil(even, 1.0, logits); }, layout,
      gradient);
  const double sequence = watch.seconds() / static_cast<double>(count);
  constexpr double kForward = 0.3;  // share of a forward pass in a step
  const auto checked = static_cast<double>((options.checks + 1) * options.held_back(plan.seqlen));
  return sequence * (steps * static_cast<double>(options.batch(plan.seqlen)) +
                     kForward * (static_cast<double>(std::max(plan.training, plan.nsamples)) + checked));
}

}  // namespace pare
