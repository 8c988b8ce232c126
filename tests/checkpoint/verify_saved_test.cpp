// Reading back what was written, and the logits with which it is compared.
#include "checkpoint/verify_saved.h"

#include <gtest/gtest.h>

#include "checkpoint/save.h"
#include "io/gguf.h"
#include "runtime/streamed_logits.h"
#include "support/expect_error.h"
#include "support/run_model.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

Model block_model() {
  return make_tiny_model({.vocab = 400, .width = 64, .heads = 4, .head_dim = 16, .intermediate = 96});
}

TEST(StreamedLogits, AreThoseOfThePackedModel) {
  for (const char* golden : {"llama/mha", "llama/gqa-tied", "qwen2/gqa", "sliced/all-streams",
                             "sliced/block-rotation", "sliced/first-layer-bare"}) {
    const Model model = load_model(golden_folder(golden));
    const auto tokens = some_tokens(17, model.config.vocab_size);
    EXPECT_EQ(largest_difference(streamed_logits(model, tokens), run_model(model, tokens)), 0.0) << golden;
  }
}

TEST(StreamedLogits, EditsEveryMatrix) {
  const Model model = load_model(golden_folder("sliced/all-streams"));
  const auto tokens = some_tokens(9, model.config.vocab_size);
  Model doubled = model;
  for_each_tensor(
      doubled,
      [](const TensorPlace&, Weight& weight) {
        Matrix<float> values = decode(weight);
        for (int64_t i = 0; i < values.size(); ++i) values.data()[i] *= 2.0f;
        weight = Weight::from_matrix(std::as_const(values).view());
      },
      [](const TensorPlace&, std::vector<float>&) {});
  const auto twice = [](const TensorPlace&, const Weight& weight) {
    Matrix<float> values = decode(weight);
    for (int64_t i = 0; i < values.size(); ++i) values.data()[i] *= 2.0f;
    return Weight::from_matrix(std::as_const(values).view());
  };
  EXPECT_EQ(largest_difference(streamed_logits(model, tokens, twice), run_model(doubled, tokens)), 0.0);
}

TEST(VerifySaved, NothingIsLostWhereNothingIsRounded) {
  const TempDir folder;
  save_hf(block_model(), folder.path());
  const SavedCheck check = verify_saved(block_model(), folder.path());
  EXPECT_EQ(check.difference, 0.0);
  EXPECT_EQ(check.rounding, 0.0);
}

TEST(VerifySaved, MeasuresWhatATypeCosts) {
  const Model model = block_model();
  const Tokenizer tokenizer = load_tokenizer(golden_folder("tiny-model"));
  const TempDir folder;
  double finer = 0.0;
  for (const Encoding encoding : {Encoding::kF16, Encoding::kBF16, Encoding::kQ8_0, Encoding::kQ4_0}) {
    const auto path = folder / encoding_info(encoding).name;
    save_gguf(model, tokenizer, path, encoding);
    const SavedCheck check = verify_saved(model, path);
    EXPECT_GT(check.rounding, finer);
    EXPECT_LE(check.difference, check.allowed);
    EXPECT_GT(check.difference, check.rounding / 4);
    finer = check.rounding;
  }
  EXPECT_LT(finer, 0.13);  // 4 bits: a sixteenth of the largest of 32, at most, and about half of that
}

// Another weight than the one that was to be written, in the same type or another.
TEST(VerifySaved, FindsWhatWasWrittenWrong) {
  for (const Encoding encoding : {Encoding::kF32, Encoding::kBF16}) {
    Model model = block_model();
    const TempDir folder;
    save_hf(model, folder.path(), {.dtype = encoding});
    auto& mlp = std::get<Mlp>(model.blocks[1].stages[1].branches[0]);
    std::swap(mlp.gate, mlp.up);
    EXPECT_PARE_ERROR(verify_saved(model, folder.path()), ErrorCode::kNumeric, "was to be written");
    std::swap(mlp.gate, mlp.up);
    Matrix<float> values = decode(mlp.down.weight);
    values(3, 5) += 1.0f;
    mlp.down.weight = Weight::from_matrix(std::as_const(values).view());
    EXPECT_PARE_ERROR(verify_saved(model, folder.path()), ErrorCode::kNumeric, "was to be written");
  }
}

TEST(VerifySaved, ValuesThatATypeCannotHold) {
  Model model = block_model();
  Matrix<float> values = decode(model.embedding);
  values(7, 7) = 1e9f;
  model.embedding = Weight::from_matrix(std::as_const(values).view());
  const TempDir folder;
  save_hf(model, folder.path(), {.dtype = Encoding::kF16});
  EXPECT_PARE_ERROR(verify_saved(model, folder.path()), ErrorCode::kNumeric, "embedding");
}

}  // namespace
}  // namespace pare::test
