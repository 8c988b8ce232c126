// The same tokens give the same logits however they are cut into passes, batches and threads.
#include "runtime/forward.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "runtime/streamed_logits.h"
#include "support/expect_error.h"
#include "support/run_model.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

// Grouped heads, biases, a width that no vector divides; long enough for two chunks of a prompt.
Model long_model() {
  return make_tiny_model({.vocab = 61,
                          .width = 36,
                          .heads = 6,
                          .head_dim = 6,
                          .intermediate = 50,
                          .max_positions = 1024,
                          .biases = true});
}

Model sliced_model() { return load_model(golden_folder("sliced/all-streams")); }

bool identical(const Matrix<float>& a, const Matrix<float>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(float)) == 0;
}

// Hidden states when the tokens come in pieces of the given sizes, one after the other.
Matrix<float> in_pieces(const PackedModel& model, std::span<const int32_t> tokens, int64_t piece) {
  const auto count = static_cast<int64_t>(tokens.size());
  KvCache cache(model, count);
  Matrix<float> hidden(count, model.head.logits->in_features());
  for (int64_t begin = 0; begin < count; begin += piece) {
    const int64_t n = std::min(piece, count - begin);
    const SequenceStep step{tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(n)), &cache};
    const Matrix<float> part = download(forward_batch(model, std::span(&step, 1))).matrix();
    std::copy_n(part.data(), part.size(), hidden.row(begin));
  }
  EXPECT_EQ(cache.length(), count);
  return hidden;
}

class Pieces : public ::testing::TestWithParam<int64_t> {};

TEST_P(Pieces, GiveTheSameAsOnePass) {
  for (const Model& model : {long_model(), sliced_model()}) {
    const PackedModel packed(model, ComputeType::kF32);
    const auto tokens = some_tokens(150, model.config.vocab_size);
    const Matrix<float> whole = in_pieces(packed, tokens, 150);
    // Attention to few rows may sum in another order, which counts as in the comparison with stored logits.
    EXPECT_LT(largest_difference(whole, in_pieces(packed, tokens, GetParam())),
              1e-4 * standard_deviation(whole));
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Pieces, ::testing::Values(1, 2, 7, 16, 63, 64, 65, 149));

TEST(Forward, LongPromptsGoInChunks) {
  const Model model = long_model();
  const PackedModel packed(model, ComputeType::kF32);
  const auto tokens = some_tokens(kPrefillChunk + 90, model.config.vocab_size);
  KvCache cache(packed, 1024);
  EXPECT_TRUE(identical(download(forward(packed, tokens, cache)).matrix(),
                        in_pieces(packed, tokens, kPrefillChunk + 90)));
}

TEST(Forward, SequencesOfABatchDoNotSeeEachOther) {
  for (const ComputeType compute : {ComputeType::kF32, ComputeType::kBF16}) {
    const Model model = long_model();
    const PackedModel packed(model, compute);
    const int64_t lengths[] = {3, 70, 1};
    std::vector<std::vector<int32_t>> prompts;
    std::vector<KvCache> caches;
    std::vector<SequenceStep> steps;
    for (const int64_t n : lengths) {
      prompts.push_back(some_tokens(n, model.config.vocab_size, static_cast<uint64_t>(n)));
      caches.emplace_back(packed, 256);
    }
    for (size_t i = 0; i < prompts.size(); ++i) steps.push_back({prompts[i], &caches[i]});
    const double tolerance = compute == ComputeType::kF32 ? 0.0 : 1e-4;
    for (int round = 0; round < 2; ++round) {  // the second continues filled caches
      const Matrix<float> together = download(forward_batch(packed, steps)).matrix();
      int64_t row = 0;
      for (const auto& prompt : prompts) {
        KvCache own(packed, 256);
        Matrix<float> alone;
        for (int r = 0; r <= round; ++r) alone = download(forward(packed, prompt, own)).matrix();
        for (int64_t t = 0; t < alone.rows(); ++t, ++row)
          for (int64_t c = 0; c < alone.cols(); ++c)
            ASSERT_NEAR(together(row, c), alone(t, c), tolerance) << row << " " << c;
      }
    }
  }
}

TEST(Forward, ThreadsDoNotChangeABit) {
  const int before = thread_count();
  for (const ComputeType compute : {ComputeType::kF32, ComputeType::kBF16})
    for (const Model& model : {long_model(), sliced_model()}) {
      const auto tokens = some_tokens(100, model.config.vocab_size);
      set_thread_count(1);
      const Matrix<float> one = run_model(model, tokens, compute);
      for (const int threads : {2, 3}) {
        set_thread_count(threads);
        EXPECT_TRUE(identical(one, run_model(model, tokens, compute)));
      }
    }
  set_thread_count(before);
}

TEST(Forward, TruncatedCachesForget) {
  const Model model = long_model();
  const PackedModel packed(model, ComputeType::kF32);
  const auto tokens = some_tokens(40, model.config.vocab_size);
  KvCache cache(packed, 64);
  const Matrix<float> first = download(forward(packed, tokens, cache)).matrix();
  forward(packed, some_tokens(20, model.config.vocab_size, 9), cache);
  cache.truncate(25);
  const Matrix<float> again = download(forward(packed, std::span(tokens).subspan(25), cache)).matrix();
  for (int64_t t = 0; t < again.rows(); ++t)
    EXPECT_EQ(std::memcmp(again.row(t), first.row(25 + t), sizeof(float) * 36), 0);
  EXPECT_EQ(cache.bytes(), 2 * 2 * 64 * (6 + 6) * 4);  // layers, KV heads, tokens, values, f32
}

TEST(Forward, ErrorsLeaveTheCacheAlone) {
  const Model model = long_model();
  const PackedModel packed(model, ComputeType::kF32);
  KvCache cache(packed, 8);
  EXPECT_PARE_ERROR(forward(packed, some_tokens(9, 61), cache), ErrorCode::kInvalid, "context of 8");
  for (const int32_t bad : {-1, 61}) {
    const std::vector<int32_t> tokens = {1, bad};
    EXPECT_PARE_ERROR(forward(packed, tokens, cache), ErrorCode::kInvalid, "vocabulary of 61");
  }
  EXPECT_EQ(cache.length(), 0);
}

TEST(Forward, NotANumberIsAnError) {
  Model model = long_model();
  model.final_norm.weight[3] = INFINITY;
  EXPECT_PARE_ERROR(run_model(model, some_tokens(2, 61)), ErrorCode::kNumeric, "NaN or an infinity");
}

TEST(Forward, ObserverSeesTheSignalsOfAStage) {
  const Model model = sliced_model();
  const RopeRange range{0, 3, 3};
  const RotaryTable rope = make_rope_table(model.config.rope, model.config.head_dim, std::span(&range, 1));
  const PackedStage stage = pack_stage(model.blocks[0].stages[0], 20, ComputeType::kF32);
  const KvStores kv = kv_of(stage, 1, 3);
  const Segment segment{0, 3, 0, kv.front().get()};
  const Activation x = default_backend().upload(embed(model.embedding, some_tokens(3, 89)));
  std::vector<std::pair<Signal, int64_t>> seen;
  const Activation y =
      forward_stage(stage, x, std::span(&segment, 1), rope,
                    [&](Signal signal, const Activation& v) { seen.emplace_back(signal, v.cols()); });
  EXPECT_EQ(y.cols(), 18);
  const std::vector<std::pair<Signal, int64_t>> expected = {{Signal::kStageInput, 20},
                                                            {Signal::kNormed, 20},
                                                            {Signal::kQueryKeyValue, 4 * 8 + 2 * 8 + 2 * 5},
                                                            {Signal::kValueStream, 4 * 5},
                                                            {Signal::kBranchOutput, 18},
                                                            {Signal::kSum, 18}};
  EXPECT_EQ(seen, expected);
}

// Blocks on several backends: the stream is handed on where neighbours differ.
TEST(Forward, RunsOnSeveralBackends) {
  for (const Model& model : {long_model(), sliced_model()}) {
    const size_t blocks = model.blocks.size();
    const Backend& cpu = default_backend();
    const Backend& reference = backend_named("reference");
    const auto tokens = some_tokens(70, model.config.vocab_size);
    const Matrix<float> expected = run_model(model, tokens);
    for (const auto& [first, second] :
         {std::pair(&cpu, &reference), {&reference, &cpu}, {&reference, &reference}}) {
      const Placement placements[] = {{0, 1, first}, {1, blocks, second}};
      const PackedModel packed(model, ComputeType::kF32, placements);
      KvCache cache(packed, 80);
      forward(packed, std::span(tokens).first(30), cache);
      const Activation hidden = forward(packed, std::span(tokens).subspan(30), cache);
      EXPECT_EQ(&hidden.backend(), second);
      const Matrix<float> logits = logits_of(packed, hidden);
      EXPECT_LT(relative_difference(expected.view().rows_of(30, 40), logits.view()), 1e-4);
    }
  }
}

}  // namespace
}  // namespace pare::test
