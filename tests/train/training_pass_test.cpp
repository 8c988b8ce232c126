// Gradients of whole models against finite differences of the reference's loss. A bias of keys that are not
// rotated has none: all scores of a query move alike.
#include "train/training_pass.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/log_sum_exp.h"
#include "kernels/reference/reference_backend.h"
#include "support/expect_error.h"
#include "support/tiny_model.h"
#include "train/distillation.h"

namespace pare::test {
namespace {

constexpr double kStep = 0x1p-7;

// Cross-entropy of the next token, whose gradient is known: softmax − one-hot.
double cross_entropy(int32_t target, std::span<float> logits) {
  const double loss = log_sum_exp(logits) - static_cast<double>(logits[static_cast<size_t>(target)]);
  softmax(logits);
  logits[static_cast<size_t>(target)] -= 1.0f;
  return loss;
}

SequenceBatch some_batch(int64_t vocab) {
  SequenceBatch batch;
  batch.length = 6;
  Rng rng(3);
  for (int64_t i = 0; i < 2 * batch.length; ++i)
    batch.tokens.push_back(static_cast<int32_t>(rng.uniform() * static_cast<double>(vocab)));
  return batch;
}

TokenLoss loss_on(const SequenceBatch& batch) {
  return [&batch](int64_t row, std::span<float> logits) {
    return cross_entropy(batch.tokens[static_cast<size_t>((row * 7 + 3) % batch.rows())], logits);
  };
}

// Models of every design, with matrices at the ends of some, and a skip in their first stage.
std::vector<Model> models() {
  std::vector<Model> all;
  for (const TinyModelOptions& like : every_design()) {
    Model model = make_tiny_model(like);
    for (Block& block : model.blocks)
      for (Stage& stage : block.stages)
        for (Branch& branch : stage.branches)
          if (auto* m = std::get_if<Mlp>(&branch); m != nullptr && m->activation == ActivationFunction::kRelu)
            m->activation = ActivationFunction::kGelu;
    Matrix<float> skip = Matrix<float>::identity(like.width);
    for (int64_t i = 0; i < skip.size(); ++i) skip.data()[i] += 0.01f * static_cast<float>(i % 7);
    model.blocks.front().stages.front().skip = Weight::from_matrix(std::as_const(skip).view());
    all.push_back(std::move(model));
  }
  return all;
}

TEST(TrainingPass, GradientsEqualDifferencesForEveryDesign) {
  const ReferenceBackend reference;
  size_t design = 0;
  for (const Model& original : models()) {
    SCOPED_TRACE(design++);
    const Parameters layout(original);
    std::vector<float> values(static_cast<size_t>(layout.size()));
    layout.read(original, original, values);
    Model model = layout.view(original, values);
    const SequenceBatch batch = some_batch(model.config.vocab_size);
    const TrainingPass pass(model, ComputeType::kF32, reference);
    std::vector<float> gradient(values.size(), 0.0f);
    const double sum = pass.gradient(batch, loss_on(batch), layout, gradient);
    EXPECT_NEAR(sum, pass.loss(batch, loss_on(batch)), 1e-9 * sum);
    for (const TrainedTensor& tensor : layout.tensors()) {
      SCOPED_TRACE(role_name(tensor.place.role));
      double largest = 0.0;
      for (const float g : part_in(std::span(gradient), tensor))
        largest = std::max(largest, std::abs(static_cast<double>(g)));
      // One value, and one direction that all values move along.
      const int64_t some = tensor.size() / 2;
      for (const bool all : {false, true}) {
        const std::vector<float> before = values;
        double expected = 0.0;
        double slope = 0.0;
        double size = 0.0;
        for (int64_t i = 0; i < tensor.size(); ++i) {
          if (!all && i != some) continue;
          const double direction =
              all ? std::cos(static_cast<double>(i)) / std::sqrt(static_cast<double>(tensor.size())) : 1.0;
          slope += direction * static_cast<double>(gradient[static_cast<size_t>(tensor.offset + i)]);
          size += direction * direction;
        }
        for (const auto& [step, factor] : {std::pair(1.0, 8.0), {-1.0, -8.0}, {2.0, -1.0}, {-2.0, 1.0}}) {
          for (int64_t i = 0; i < tensor.size(); ++i) {
            if (!all && i != some) continue;
            const double direction =
                all ? std::cos(static_cast<double>(i)) / std::sqrt(static_cast<double>(tensor.size())) : 1.0;
            float& value = values[static_cast<size_t>(tensor.offset + i)];
            value = static_cast<float>(static_cast<double>(value) + step * kStep * direction);
          }
          layout.refresh(model, values);
          expected += factor * pass.loss(batch, loss_on(batch)) / (12.0 * kStep);
          values = before;
        }
        layout.refresh(model, values);
        EXPECT_NEAR(slope, expected, 2e-3 * largest * std::sqrt(size) + 1e-4)
            << (all ? "direction" : "value");
      }
    }
  }
}

TEST(TrainingPass, IsTheSameOnTheProcessor) {
  const ReferenceBackend reference;
  for (const Model& original : models()) {
    const Parameters layout(original);
    std::vector<float> values(static_cast<size_t>(layout.size()));
    layout.read(original, original, values);
    const Model model = layout.view(original, values);
    const SequenceBatch batch = some_batch(model.config.vocab_size);
    std::vector<float> expected(values.size(), 0.0f);
    std::vector<float> got(values.size(), 0.0f);
    TrainingPass(model, ComputeType::kF32, reference).gradient(batch, loss_on(batch), layout, expected);
    TrainingPass(model, ComputeType::kF32).gradient(batch, loss_on(batch), layout, got);
    for (const TrainedTensor& tensor : layout.tensors()) {
      double difference = 0.0;
      double size = 0.0;
      for (size_t i = 0; i < static_cast<size_t>(tensor.size()); ++i) {
        const double a = part_in(std::span(expected), tensor)[i];
        difference += std::pow(part_in(std::span(got), tensor)[i] - a, 2);
        size += a * a;
      }
      EXPECT_LE(difference, 1e-8 * size + 1e-10) << role_name(tensor.place.role);
    }
  }
}

TEST(TrainingPass, GivesTheSameBitsOnAnyNumberOfThreads) {
  const Model original = make_tiny_model();
  const Parameters layout(original);
  std::vector<float> values(static_cast<size_t>(layout.size()));
  layout.read(original, original, values);
  const Model model = layout.view(original, values);
  const SequenceBatch batch = some_batch(model.config.vocab_size);
  const auto gradient = [&](int threads) {
    const int before = thread_count();
    set_thread_count(threads);
    std::vector<float> result(values.size(), 0.0f);
    TrainingPass(model, ComputeType::kBF16).gradient(batch, loss_on(batch), layout, result);
    set_thread_count(before);
    return result;
  };
  EXPECT_EQ(gradient(1), gradient(3));
}

// Sequences one by one, with stages that run once more: tapes of all, of the last ones and of none.
TEST(TrainingPass, GivesTheSameBitsWhateverIsKept) {
  for (const Model& original : models()) {
    const Parameters layout(original);
    std::vector<float> values(static_cast<size_t>(layout.size()));
    layout.read(original, original, values);
    const Model model = layout.view(original, values);
    const SequenceBatch batch = some_batch(model.config.vocab_size);
    const auto gradient = [&](const TrainingLimits& limits) {
      std::vector<float> result(values.size(), 0.0f);
      TrainingPass(model, ComputeType::kF32, default_backend(), limits)
          .gradient(batch, loss_on(batch), layout, result);
      return result;
    };
    const TrainingLimits alone = {.group_rows = 1};
    const int64_t all = held_bytes(model, batch.length, alone).tapes;
    EXPECT_GT(all, 0);
    const std::vector<float> kept = gradient(alone);
    EXPECT_EQ(kept, gradient({.group_rows = 1, .tape_bytes = all * 2 / 3}));
    EXPECT_EQ(kept, gradient({.group_rows = 1, .tape_bytes = 0}));
    // Only the order of sums differs.
    const std::vector<float> together = gradient({});
    double difference = 0.0;
    double size = 0.0;
    for (size_t i = 0; i < kept.size(); ++i) {
      difference += std::pow(static_cast<double>(kept[i] - together[i]), 2);
      size += std::pow(static_cast<double>(kept[i]), 2);
    }
    EXPECT_LE(difference, 1e-10 * size);
  }
}

// The gradient of the distillation's loss, with fewer tokens than are kept and with more.
TEST(TrainingPass, RefusesALossThatIsNoNumber) {
  const Model model = make_tiny_model();
  const SequenceBatch batch = some_batch(model.config.vocab_size);
  const TokenLoss loss = [](int64_t row, std::span<float>) { return row == 7 ? std::nan("") : 0.0; };
  EXPECT_PARE_ERROR(TrainingPass(model, ComputeType::kBF16).loss(batch, loss), ErrorCode::kNumeric,
                    "the loss");
}

TEST(Distillation, GradientEqualsDifferences) {
  for (const size_t vocab : {5, 64, 200}) {
    Rng rng(vocab);
    std::vector<float> teacher_logits(vocab);
    std::vector<float> logits(vocab);
    for (float& value : teacher_logits) value = static_cast<float>(2.0 * rng.normal());
    for (float& value : logits) value = static_cast<float>(2.0 * rng.normal());
    const TeacherRow teacher = teacher_row(teacher_logits);
    const auto loss = [&](const std::vector<float>& at) {
      std::vector<float> copy = at;
      return distil(teacher, 1.0, copy);
    };
    std::vector<float> gradient = logits;
    distil(teacher, 0.5, gradient);
    for (size_t i = 0; i < vocab; i += 3) {
      const auto moved = [&](double step) {
        std::vector<float> at = logits;
        at[i] = static_cast<float>(at[i] + step);
        return loss(at);
      };
      const double expected =
          (8.0 * (moved(kStep) - moved(-kStep)) - (moved(2.0 * kStep) - moved(-2.0 * kStep))) /
          (12.0 * kStep);
      EXPECT_NEAR(2.0 * gradient[i], expected, 1e-4) << vocab << " " << i;
    }
    // A student that is the teacher has no loss.
    EXPECT_NEAR(loss(teacher_logits), 0.0, 1e-6);
  }
}

TEST(Distillation, KeepsTheLargestInOrder) {
  std::vector<float> logits(1000, 0.0f);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i * 7919 % 1000 / 10);
  const TeacherRow row = teacher_row(logits);
  const std::vector<int32_t> ids(row.ids.begin(), row.ids.end());
  std::vector<int32_t> expected(logits.size());
  for (size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<int32_t>(i);
  std::stable_sort(expected.begin(), expected.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  expected.resize(ids.size());
  EXPECT_EQ(ids, expected);
}

// Latent values lean towards the matrix that was rounded, and towards no other of its shape.
TEST(Parameters, BeginsNearTheMatrixThatWasRounded) {
  const Model original = make_tiny_model();
  Model model = original;
  Weight& weight = std::get<Mlp>(model.blocks[0].stages[1].branches[0]).up.weight;
  const Matrix<float> before = decode(weight);
  weight = Weight::from_matrix(before.view(), Encoding::kQ4_0);
  const Matrix<float> rounded = decode(weight);
  const Parameters layout(model);
  const auto begun = [&](const Model& origin) {
    std::vector<float> values(static_cast<size_t>(layout.size()));
    layout.read(model, origin, values);
    return copy_of(matrix_in(std::span<float>(values), layout.at(Role::kUp, 0)));
  };
  const auto distance = [](const Matrix<float>& a, const Matrix<float>& b) {
    double sum = 0.0;
    for (int64_t i = 0; i < a.size(); ++i) {
      const auto difference = static_cast<double>(a.data()[i] - b.data()[i]);
      sum += difference * difference;
    }
    return std::sqrt(sum);
  };
  const Matrix<float> near = begun(original);
  EXPECT_GT(distance(rounded, near), 0.0);
  EXPECT_LT(distance(before, near), 0.75 * distance(before, rounded));

  Model shuffled = original;
  Matrix<float> moved = before.clone();
  for (int64_t r = 0; r < moved.rows(); ++r)
    std::rotate(moved.row(r), moved.row(r) + 1, moved.row(r) + moved.cols());
  std::get<Mlp>(shuffled.blocks[0].stages[1].branches[0]).up.weight = Weight::from_matrix(moved.view());
  EXPECT_LT(distance(rounded, begun(shuffled)), 1e-6);
}

}  // namespace
}  // namespace pare::test
