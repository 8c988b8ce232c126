#include "compress/recover/weight_training.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "tensor/sparse_weight.h"

namespace pare {
namespace {

constexpr double kWarmUp = 0.1;      // share of the steps
constexpr double kFloor = 0.05;      // share of the learning rate at the end
constexpr double kMostNorm = 1.0;    // longest gradient; a longer one is shortened
constexpr double kForgets = 10.0;    // steps after which the average has hardly anything of the start
constexpr double kLeastSize = 1e-3;  // values of a tensor count as no smaller

// Returns the root of the mean square of the values that are not zero.
double size_of(std::span<const float> values) {
  double sum = 0.0;
  int64_t count = 0;
  for (const float value : values) {
    sum += static_cast<double>(value) * static_cast<double>(value);
    count += value == 0.0f ? 0 : 1;
  }
  return std::max(kLeastSize, count == 0 ? 0.0 : std::sqrt(sum / static_cast<double>(count)));
}

std::vector<float> values_of(const Parameters& layout, const Model& model, const Model& origin) {
  std::vector<float> values(static_cast<size_t>(layout.size()));
  layout.read(model, origin, values);
  return values;
}

}  // namespace

// A weight of a pattern, of which only some values may differ from zero.
struct WeightTraining::Mask {
  TrainedTensor tensor;
  std::vector<bool> kept;
};

WeightTraining::WeightTraining(const Model& model, const Model& origin, const RecoverOptions& options)
    : options_(options),
      layout_(model),
      values_(values_of(layout_, model, origin)),
      gradient_(values_.size()),
      mean_(values_.size()),
      average_(values_),
      optimizer_(stepped_tensors()) {
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        if (!keeps_zeros(weight)) return;
        Mask mask{layout_.at(place.role, place.block, place.bias), {}};
        const Matrix<float> values = decode(weight);
        for (const float value : std::span(values.data(), static_cast<size_t>(values.size())))
          mask.kept.push_back(value != 0.0f);
        // Values before rounding may differ from zero where codes do not.
        for (const std::span<float> array : {std::span(values_), std::span(average_)}) {
          const std::span<float> part = part_in(array, mask.tensor);
          for (size_t i = 0; i < part.size(); ++i)
            if (!mask.kept[i]) part[i] = 0.0f;
        }
        masks_.push_back(std::move(mask));
      },
      [](const TensorPlace&, const std::vector<float>&) {});
  model_ = layout_.view(model, values_);
  averaged_ = layout_.view(model, average_);
}

WeightTraining::~WeightTraining() = default;

const Model& WeightTraining::averaged() {
  layout_.refresh(averaged_, average_);
  return averaged_;
}

std::span<float> WeightTraining::begin_step() {
  std::fill(gradient_.begin(), gradient_.end(), 0.0f);
  layout_.refresh(model_, values_);
  return gradient_;
}

void WeightTraining::end_step(int64_t step, int64_t steps) {
  layout_.adjoint(values_, gradient_);
  parallel_for(static_cast<int64_t>(masks_.size()), [&](int64_t m) {
    const Mask& mask = masks_[static_cast<size_t>(m)];
    const std::span<float> part = part_in(std::span(gradient_), mask.tensor);
    for (size_t i = 0; i < part.size(); ++i)
      if (!mask.kept[i]) part[i] = 0.0f;
  });
  const double norm = optimizer_.observe(gradient_);
  if (!std::isfinite(norm)) fail(ErrorCode::kNumeric, "the gradient holds a NaN or an infinity");
  const auto warm_up = std::max<int64_t>(1, std::llround(kWarmUp * static_cast<double>(steps)));
  const double schedule = cosine_schedule(step, steps, warm_up, kFloor);
  const double scale = norm > kMostNorm ? kMostNorm / norm : 1.0;
  optimizer_.step(values_, gradient_, mean_, step, schedule, scale);
  const auto made = static_cast<double>(step);
  move_average(average_, values_, std::min(options_.average, made / (made + kForgets)));
}

std::vector<SteppedTensor> WeightTraining::stepped_tensors() const {
  std::vector<SteppedTensor> tensors;
  for (const TrainedTensor& tensor : layout_.tensors()) {
    const Role role = tensor.place.role;
    const bool table = role == Role::kEmbedding || role == Role::kHead || role == Role::kPositions;
    const bool scales = layout_.is_scales(tensor);
    const double rate = scales                     ? options_.scale_rate
                        : layout_.is_coded(tensor) ? options_.code_rate
                                                   : options_.rate;
    tensors.push_back({.offset = tensor.offset,
                       .rows = tensor.rows,
                       .cols = tensor.cols,
                       .unit = scales ? 1.0 : size_of(part_in(std::span(values_), tensor)),
                       .rate = rate * (table && !scales ? options_.embedding_rate : 1.0),
                       .sets_damping = !table && !scales});
  }
  return tensors;
}

bool keeps_zeros(const Weight& weight) {
  return !weight.format.pattern.dense() || !followed_pattern(weight).dense();
}

Model trained_model(const Model& before, const Parameters& layout, std::span<const float> values,
                    const std::function<Weight(Weight)>& each) {
  Model model = layout.view(before, values);
  std::vector<Pattern> patterns;
  for_each_tensor(
      before, [&](const TensorPlace&, const Weight& weight) { patterns.push_back(weight.format.pattern); },
      [](const TensorPlace&, const std::vector<float>&) {});
  size_t index = 0;
  for_each_tensor(
      model,
      [&](const TensorPlace& place, Weight& weight) {
        const Pattern pattern = patterns[index++];
        if (!layout.is_coded(layout.at(place.role, place.block, place.bias))) {
          weight = Weight::from_matrix(decode(weight).view());
          if (!pattern.dense()) weight = to_pattern(weight, pattern, role_name(place.role));
        }
        if (each) weight = each(std::move(weight));
      },
      [](const TensorPlace&, const std::vector<float>&) {});
  return model;
}

std::vector<int64_t> SequenceOrder::of_step(int64_t step, int64_t batch) {
  std::vector<int64_t> chosen;
  const auto count = static_cast<int64_t>(sequences_.size());
  for (int64_t i = (step - 1) * batch; i < step * batch; ++i)
    chosen.push_back(sequences_[shuffled(i / count)[static_cast<size_t>(i % count)]]);
  return chosen;
}

const std::vector<size_t>& SequenceOrder::shuffled(int64_t epoch) {
  if (epoch == epoch_) return order_;
  epoch_ = epoch;
  order_.resize(sequences_.size());
  for (size_t i = 0; i < order_.size(); ++i) order_[i] = i;
  Rng rng(seed_ + static_cast<uint64_t>(epoch));
  for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[rng.below(i)]);
  return order_;
}

TrainingSplit::TrainingSplit(int64_t count, int64_t wanted) {
  PARE_CHECK(count > 1);
  const int64_t held = std::min(wanted, std::max<int64_t>(1, count / 4));
  for (int64_t i = 0; i < count; ++i) {
    const bool holds = (i + 1) * held / count > i * held / count;
    (holds ? held_back : trained).push_back(i);
  }
}

}  // namespace pare
