#include "compress/recover/recover.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/log.h"
#include "base/rng.h"
#include "compress/estimate.h"
#include "compress/recover/teacher_rows.h"
#include "model/stage_at.h"
#include "tensor/sparse_weight.h"
#include "train/adam.h"

namespace pare {
namespace {

constexpr const char* kStep = "training";
constexpr const char* kDone = "recovered";
constexpr double kWarmUp = 0.1;    // share of the steps
constexpr double kFloor = 0.05;    // share of the learning rate at the end
constexpr double kMostNorm = 1.0;  // longest gradient; a longer one is shortened
constexpr double kDiverged = 2.0;  // times the loss at the start, and 0.1 more: training has diverged
constexpr size_t kReusedBytes = size_t{512} << 20;
constexpr int64_t kArrays = 5;  // values, gradient, two moments, average

// Weights of a pattern, of which only some values may differ from zero.
struct Mask {
  TrainedTensor tensor;
  std::vector<bool> kept;
};

std::vector<Mask> masks_of(const Model& model, const Parameters& layout, std::span<const float> values) {
  std::vector<Mask> masks;
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        if (followed_pattern(weight).dense()) return;
        Mask mask{layout.at(place.role, place.block, place.bias), {}};
        for (const float value : part_in(values, mask.tensor)) mask.kept.push_back(value != 0.0f);
        masks.push_back(std::move(mask));
      },
      [](const TensorPlace&, const std::vector<float>&) {});
  return masks;
}

// The order in which sequences are trained on: every epoch in another one.
class SequenceOrder {
 public:
  SequenceOrder(std::vector<int64_t> sequences, uint64_t seed)
      : sequences_(std::move(sequences)), seed_(seed) {}

  // Returns the sequences of a step, counted from 1.
  std::vector<int64_t> of_step(int64_t step, int64_t batch) {
    std::vector<int64_t> chosen;
    const auto count = static_cast<int64_t>(sequences_.size());
    for (int64_t i = (step - 1) * batch; i < step * batch; ++i)
      chosen.push_back(sequences_[shuffled(i / count)[static_cast<size_t>(i % count)]]);
    return chosen;
  }

 private:
  const std::vector<size_t>& shuffled(int64_t epoch) {
    if (epoch == epoch_) return order_;
    epoch_ = epoch;
    order_.resize(sequences_.size());
    for (size_t i = 0; i < order_.size(); ++i) order_[i] = i;
    Rng rng(seed_ + static_cast<uint64_t>(epoch));
    for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[rng.below(i)]);
    return order_;
  }

  std::vector<int64_t> sequences_;
  uint64_t seed_;
  int64_t epoch_ = -1;
  std::vector<size_t> order_;
};

// Sequences to train on, and others that are held back, evenly spread.
struct TrainingSplit {
  std::vector<int64_t> trained;
  std::vector<int64_t> held_back;

  TrainingSplit(int64_t count, int64_t wanted) {
    const int64_t held = std::min(wanted, std::max<int64_t>(1, count / 4));
    for (int64_t i = 0; i < count; ++i) {
      const bool holds = (i + 1) * held / count > i * held / count;
      (holds ? held_back : trained).push_back(i);
    }
  }
};

class Training {
 public:
  Training(const Model& model, const Model& teacher, const TeacherRows& rows, const RecoverOptions& options,
           const PassContext& context)
      : original_(model),
        teacher_(rows),
        options_(options),
        context_(context),
        layout_(model),
        split_(static_cast<int64_t>(context.training.sequences.size()),
               options.held_back(context.training.seqlen())),
        order_(split_.trained, context.training.seed),
        values_(size()),
        gradient_(size()),
        mean_(size()),
        squares_(size()),
        average_(size()),
        best_(context.area.stream("best", layout_.size())) {
    layout_.read(model, teacher, values_);
    average_ = values_;
    masks_ = masks_of(model, layout_, values_);
    model_.emplace(layout_.view(model, values_));
    averaged_.emplace(layout_.view(model, average_));
  }

  // Trains to the end; best() holds the result.
  void run() {
    if (!restore()) begin();
    for (int64_t step = step_ + 1; step <= options_.steps && !stopped_; ++step) {
      if (context_.progress) context_.progress("training", step - 1, options_.steps);
      try {
        train(step);
        step_ = step;
        if (step * options_.checks / options_.steps > (step - 1) * options_.checks / options_.steps) check();
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kNumeric) throw;
        stop(fmt::format("step {}: {}", step, error.what()));
      }
      if (since_checkpoint_.seconds() >= options_.checkpoint_seconds) keep();
    }
  }

  const Parameters& layout() const { return layout_; }
  std::span<const float> best() const { return {best_.rows(0, 1, layout_.size()).row(0), size()}; }
  bool is_better() const { return best_step_ > 0; }
  const std::vector<Json>& checks() const { return checks_; }
  const std::string& stopped() const { return reason_; }

 private:
  size_t size() const { return static_cast<size_t>(layout_.size()); }

  void begin() {
    start_loss_ = held_back_loss(*averaged_);
    best_loss_ = start_loss_;
    copy_best();
    add_check(start_loss_);
  }

  void train(int64_t step) {
    std::fill(gradient_.begin(), gradient_.end(), 0.0f);
    layout_.refresh(*model_, values_);
    const std::vector<int64_t> chosen = order_.of_step(step, options_.batch(context_.training.seqlen()));
    const auto tokens = static_cast<double>(chosen.size()) * static_cast<double>(context_.training.seqlen());
    const double loss =
        for_each_batch(chosen, [&](const SequenceBatch& batch, std::span<const int64_t> which) {
          return TrainingPass(*model_, compute())
              .gradient(batch, loss_of(which, 1.0 / tokens), layout_, gradient_);
        });
    losses_ += loss / tokens;
    ++steps_since_check_;
    layout_.adjoint(values_, gradient_);
    for (const Mask& mask : masks_) {
      const std::span<float> part = part_in(std::span(gradient_), mask.tensor);
      for (size_t i = 0; i < part.size(); ++i)
        if (!mask.kept[i]) part[i] = 0.0f;
    }
    const double norm = norm_of(gradient_);
    if (!std::isfinite(norm) || !std::isfinite(loss))
      fail(ErrorCode::kNumeric, "the loss or its gradient is not finite");
    const auto warm_up = std::max<int64_t>(1, std::llround(kWarmUp * static_cast<double>(options_.steps)));
    const double schedule = cosine_schedule(step, options_.steps, warm_up, kFloor);
    for (const TrainedTensor& tensor : layout_.tensors())
      adam_step({part_in(std::span(values_), tensor), part_in(std::span<const float>(gradient_), tensor),
                 part_in(std::span(mean_), tensor), part_in(std::span(squares_), tensor)},
                {}, step, rate_of(tensor) * schedule, std::min(1.0, kMostNorm / norm));
    // The first steps count fully: the average is not to hold on to the start.
    const double decay =
        std::min(options_.average, static_cast<double>(step) / (static_cast<double>(step) + 10.0));
    move_average(average_, values_, decay);
  }

  // Returns the learning rate of a tensor at its highest.
  double rate_of(const TrainedTensor& tensor) const {
    if (layout_.is_scales(tensor)) return options_.scale_rate;
    const Role role = tensor.place.role;
    const bool table = role == Role::kEmbedding || role == Role::kHead || role == Role::kPositions;
    return (layout_.is_coded(tensor) ? options_.code_rate : options_.rate) *
           (table ? options_.embedding_rate : 1.0);
  }

  void check() {
    layout_.refresh(*averaged_, average_);
    const double loss = held_back_loss(*averaged_);
    if (loss < best_loss_) {
      best_loss_ = loss;
      best_step_ = step_;
      copy_best();
    }
    add_check(loss);
    log_info(
        "step {} of {}: KL {:.4f} nats a token on held-back text, {:.4f} before training, {:.4f} on the "
        "trained",
        step_, options_.steps, loss, start_loss_, checks_.back().value("trained_kl", 0.0));
    if (loss > kDiverged * start_loss_ + 0.1)
      stop(fmt::format("step {}: the loss on held-back text is {:.4f}, {:.4f} before training", step_, loss,
                       start_loss_));
  }

  void add_check(double loss) {
    Json entry = {{"name", fmt::format("step {}", step_)}, {"kl", loss}};
    if (steps_since_check_ > 0) entry["trained_kl"] = losses_ / static_cast<double>(steps_since_check_);
    losses_ = 0.0;
    steps_since_check_ = 0;
    checks_.push_back(std::move(entry));
  }

  void stop(std::string reason) {
    stopped_ = true;
    reason_ = std::move(reason);
    log_warning("training stops at {}; the best of before is kept", reason_);
  }

  double held_back_loss(const Model& model) const {
    const double loss =
        for_each_batch(split_.held_back, [&](const SequenceBatch& batch, std::span<const int64_t> which) {
          return TrainingPass(model, compute()).loss(batch, loss_of(which, 1.0));
        });
    return loss /
           (static_cast<double>(split_.held_back.size()) * static_cast<double>(context_.training.seqlen()));
  }

  // Returns the sum of what `run` returns for as many sequences as are best run at once.
  template <typename Run>
  double for_each_batch(std::span<const int64_t> sequences, Run&& run) const {
    const auto most = static_cast<size_t>(sequences_at_once(original_, context_.training.seqlen()));
    double sum = 0.0;
    for (size_t first = 0; first < sequences.size(); first += most) {
      const std::span<const int64_t> some =
          sequences.subspan(first, std::min(most, sequences.size() - first));
      sum += run(batch_of(context_.training, some), some);
    }
    return sum;
  }

  TokenLoss loss_of(std::span<const int64_t> sequences, double scale) const {
    const int64_t length = context_.training.seqlen();
    return [this, sequences, scale, length](int64_t row, std::span<float> logits) {
      return distil(teacher_.at(sequences[static_cast<size_t>(row / length)], row % length), scale, logits);
    };
  }

  void copy_best() { std::copy(average_.begin(), average_.end(), best_.rows(0, 1, layout_.size()).row(0)); }

  std::vector<std::vector<float>*> arrays() { return {&values_, &mean_, &squares_, &average_}; }

  // Keeps the state in one of two places in turn: the other is the one that the record names.
  void keep() {
    since_checkpoint_ = {};
    if (!context_.area.is_durable()) return;
    const int64_t slot = 1 - slot_;
    ActivationFile file = checkpoint(slot);
    int64_t row = 0;
    for (const std::vector<float>* array : arrays())
      std::copy(array->begin(), array->end(), file.rows(row++, 1, layout_.size()).row(0));
    slot_ = slot;
    context_.area.record(kStep, {{"boot", boot_id()},
                                 {"slot", slot_},
                                 {"step", step_},
                                 {"start_loss", start_loss_},
                                 {"best_loss", best_loss_},
                                 {"best_step", best_step_},
                                 {"losses", losses_},
                                 {"steps_since_check", steps_since_check_},
                                 {"checks", checks_},
                                 {"stopped", reason_}});
  }

  bool restore() {
    const Json* record = context_.area.find(kStep);
    if (record == nullptr || !context_.area.is_durable()) return false;
    ActivationFile file = checkpoint(record->at("slot").get<int64_t>());
    if (record->at("boot").get<std::string>() != boot_id() || !file.was_there() || !best_.was_there())
      return false;
    int64_t row = 0;
    for (std::vector<float>* array : arrays())
      std::copy_n(std::as_const(file).rows(row++, 1, layout_.size()).row(0), layout_.size(), array->begin());
    slot_ = record->at("slot").get<int64_t>();
    step_ = record->at("step").get<int64_t>();
    start_loss_ = record->at("start_loss").get<double>();
    best_loss_ = record->at("best_loss").get<double>();
    best_step_ = record->at("best_step").get<int64_t>();
    losses_ = record->at("losses").get<double>();
    steps_since_check_ = record->at("steps_since_check").get<int64_t>();
    checks_ = record->at("checks").get<std::vector<Json>>();
    reason_ = record->at("stopped").get<std::string>();
    stopped_ = !reason_.empty();
    return true;
  }

  ActivationFile checkpoint(int64_t slot) const {
    return context_.area.stream(fmt::format("checkpoint-{}", slot), (kArrays - 1) * layout_.size());
  }

  static ComputeType compute() { return ComputeType::kBF16; }

  const Model& original_;
  const TeacherRows& teacher_;
  const RecoverOptions& options_;
  const PassContext& context_;
  Parameters layout_;
  TrainingSplit split_;
  SequenceOrder order_;
  std::vector<float> values_;
  std::vector<float> gradient_;
  std::vector<float> mean_;
  std::vector<float> squares_;
  std::vector<float> average_;
  ActivationFile best_;
  std::vector<Mask> masks_;
  std::optional<Model> model_;     // the model with values_
  std::optional<Model> averaged_;  // the model with average_
  Stopwatch since_checkpoint_;
  int64_t slot_ = 1;
  int64_t step_ = 0;  // steps that were made
  int64_t best_step_ = 0;
  double start_loss_ = 0.0;
  double best_loss_ = 0.0;
  double losses_ = 0.0;  // losses of the steps since the last check
  int64_t steps_since_check_ = 0;
  std::vector<Json> checks_;
  bool stopped_ = false;
  std::string reason_;
};

std::string weight_name(size_t index) { return fmt::format("recovered-{}", index); }

// Takes the values into the model, each matrix kept as it will be written.
void finish(Model& model, const Parameters& layout, std::span<const float> values, WorkArea& area) {
  const Model before = std::exchange(model, layout.view(model, values));
  std::vector<Pattern> patterns;
  for_each_tensor(
      before, [&](const TensorPlace&, const Weight& weight) { patterns.push_back(weight.format.pattern); },
      [](const TensorPlace&, const std::vector<float>&) {});
  std::vector<double> vectors;
  size_t index = 0;
  for_each_tensor(
      model,
      [&](const TensorPlace& place, Weight& weight) {
        if (!layout.is_coded(layout.at(place.role, place.block, place.bias))) {
          weight = Weight::from_matrix(decode(weight).view());
          if (const Pattern pattern = patterns[index]; !pattern.dense())
            weight = to_pattern(weight, pattern, role_name(place.role));
        }
        weight = area.keep(weight_name(index++), weight);
      },
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
  const auto add = [&](const std::vector<Json>& checks, const std::string& stopped) {
    for (const Json& check : checks) context.report.add("recovery", check);
    if (!stopped.empty()) context.report.fallbacks.push_back(fmt::format("training stopped at {}", stopped));
  };
  if (const Json* record = area.is_durable() ? area.find(kDone) : nullptr) {
    take_kept(model, area);
    return add(record->at("checks").get<std::vector<Json>>(), record->at("stopped").get<std::string>());
  }
  const BufferReuse reuse(kReusedBytes);
  const TeacherRows rows(teacher, context.training, area, context.progress);
  {
    Training training(model, teacher, rows, options, context);
    training.run();
    if (training.is_better()) finish(model, training.layout(), training.best(), area);
    add(training.checks(), training.stopped());
    if (training.is_better())
      area.record(kDone, {{"checks", training.checks()}, {"stopped", training.stopped()}});
    else
      context.report.fallbacks.push_back("training did not lower the loss: the model stays as it was");
  }
  forget_streams(area);
}

Needs recover_needs(const Model& model, const RecoverOptions& options, const CalibrationPlan& plan,
                    Encoding dtype) {
  const ModelSize size = model_size(model);
  const int64_t array = size.dense_parameters * static_cast<int64_t>(sizeof(float));
  const int64_t held = std::min(sequences_at_once(model, plan.seqlen), options.batch(plan.seqlen));
  const int64_t head = model.head_weight().values() * 4;  // packed in both directions
  constexpr int64_t kStages = int64_t{768} << 20;  // inputs between stages, a stage's tape, some logits
  Needs needs;
  needs.memory = kProgramMemory + kArrays * array + head +
                 std::min<int64_t>(held * plan.seqlen * (int64_t{1} << 19), kStages);
  const int64_t rows = TeacherRows::bytes(std::max(plan.training, plan.nsamples) * plan.seqlen);
  needs.disk = rows + array * (1 + 2 * (kArrays - 1)) + 2 * row_bytes(dtype, size.dense_parameters);
  return needs;
}

double recover_seconds(const Model& model, const RecoverOptions& options, const CalibrationPlan& plan) {
  const Parameters layout(model);
  std::vector<float> gradient(static_cast<size_t>(layout.size()));
  const int64_t count = std::min(sequences_at_once(model, plan.seqlen), options.batch(plan.seqlen));
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
  return sequence * (static_cast<double>(options.steps * options.batch(plan.seqlen)) +
                     kForward * (static_cast<double>(std::max(plan.training, plan.nsamples)) + checked));
}

}  // namespace pare
