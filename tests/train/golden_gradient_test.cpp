// Gradients of tiny models of every kind against those of torch
// (tests/golden/{llama,mistral,qwen2,qwen3,olmo2,opt,phi,sliced}, by tools/goldens/make_gradient_goldens.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "checkpoint/tensor_table.h"
#include "kernels/log_sum_exp.h"
#include "kernels/reference/reference_backend.h"
#include "support/run_model.h"
#include "train/training_pass.h"

namespace pare::test {
namespace {

// Gradients in f32 are off by up to 1e-5 of their size. A tensor whose gradient is no more than rounding, as
// that of a bias of keys without rotation, is held to the model's largest gradient.
constexpr double kRelative = 1e-4;
constexpr double kOfLargest = 1e-6;

// Mean cross-entropy of the next token over all tokens but the last.
TokenLoss next_token_loss(const std::vector<int32_t>& tokens) {
  return [&tokens](int64_t row, std::span<float> logits) {
    const auto next = static_cast<size_t>(row) + 1;
    if (next == tokens.size()) {
      std::fill(logits.begin(), logits.end(), 0.0f);
      return 0.0;
    }
    const auto target = static_cast<size_t>(tokens[next]);
    const auto count = static_cast<double>(tokens.size() - 1);
    const double loss = log_sum_exp(logits) - static_cast<double>(logits[target]);
    softmax(logits);
    logits[target] -= 1.0f;
    for (float& value : logits) value = static_cast<float>(static_cast<double>(value) / count);
    return loss / count;
  };
}

// What the golden holds of a tensor's gradient: a vector, or G·c and cᵀ·G with cᵢ = cos(i²).
std::vector<double> stored_form(std::span<const float> gradient, const TrainedTensor& tensor) {
  if (tensor.rows == 1) return {gradient.begin(), gradient.end()};
  const auto factor = [](int64_t i) { return std::cos(static_cast<double>(i * i)); };
  std::vector<double> sums(static_cast<size_t>(tensor.rows + tensor.cols), 0.0);
  for (int64_t r = 0; r < tensor.rows; ++r)
    for (int64_t c = 0; c < tensor.cols; ++c) {
      const double value = gradient[static_cast<size_t>(r * tensor.cols + c)];
      sums[static_cast<size_t>(r)] += value * factor(c);
      sums[static_cast<size_t>(tensor.rows + c)] += value * factor(r);
    }
  return sums;
}

double norm(std::span<const double> values) {
  double squares = 0.0;
  for (const double value : values) squares += value * value;
  return std::sqrt(squares);
}

class GoldenGradient : public ::testing::TestWithParam<const char*> {
 protected:
  static void compare(const Backend& backend) {
    const auto folder = golden_folder(GetParam());
    const Model original = load_model(folder);
    const SafetensorsFile file = read_safetensors(folder / "gradient.safetensors");
    const auto stored = [&](const std::string& name) -> std::vector<double> {
      const auto found = file.tensors.find(name);
      if (found == file.tensors.end()) return {};
      const std::vector<float> values = as_vector(found->second, found->second.shape.at(0));
      return {values.begin(), values.end()};
    };

    const Parameters layout(original);
    std::vector<float> values(static_cast<size_t>(layout.size()));
    layout.read(original, original, values);
    const Model model = layout.view(original, values);
    const std::vector<int32_t> tokens = read_golden(folder).tokens;
    const SequenceBatch batch{tokens, static_cast<int64_t>(tokens.size())};
    std::vector<float> gradient(values.size(), 0.0f);
    const double loss = TrainingPass(model, ComputeType::kF32, backend)
                            .gradient(batch, next_token_loss(tokens), layout, gradient);
    ASSERT_EQ(stored("loss").size(), 1u);
    EXPECT_NEAR(loss, stored("loss").front(), 1e-5 * loss);

    // Every tensor has a gradient in the file, and the file has none but those and the loss.
    EXPECT_EQ(layout.tensors().size() + 1, file.tensors.size());
    const auto name_of = [&](const TrainedTensor& tensor) {
      return hf_name(architecture_of(original), tensor.place);
    };
    double largest = 0.0;
    for (const TrainedTensor& tensor : layout.tensors())
      largest = std::max(largest, norm(stored(name_of(tensor))));
    for (const TrainedTensor& tensor : layout.tensors()) {
      const std::vector<double> expected = stored(name_of(tensor));
      std::vector<double> difference = stored_form(part_in(std::span<const float>(gradient), tensor), tensor);
      ASSERT_EQ(expected.size(), difference.size()) << name_of(tensor);
      for (size_t i = 0; i < expected.size(); ++i) difference[i] -= expected[i];
      EXPECT_LE(norm(difference), kRelative * norm(expected) + kOfLargest * largest) << name_of(tensor);
    }
  }
};

TEST_P(GoldenGradient, OfTheDefaultBackend) { compare(default_backend()); }

TEST_P(GoldenGradient, OfTheReference) { compare(ReferenceBackend()); }

INSTANTIATE_TEST_SUITE_P(Cases, GoldenGradient, ::testing::ValuesIn(kGoldenCases));

}  // namespace
}  // namespace pare::test
