// Orders of channels, and the exact changes of a model that bake them in.
#include "compress/sparsify/shuffle.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>

#include "checkpoint/load.h"
#include "checkpoint/save.h"
#include "compress/calibrated.h"
#include "compress/sparse_rows.h"
#include "compress/sparsify/permute.h"
#include "compress/sparsify/shuffle_error.h"
#include "model/visit.h"
#include "support/temp_dir.h"

namespace pare::test {
namespace {

constexpr Pattern kPatterns[] = {{2, 4}, {1, 4}, {4, 8}, {1, 2}, {6, 8}, {3, 5}};

ChannelScores random_scores(int64_t channels, int64_t samples, uint64_t seed) {
  ChannelScores scores(channels, samples);
  Rng rng(seed);
  for (int64_t c = 0; c < channels; ++c) {
    const double size = std::exp(rng.normal());
    for (int64_t s = 0; s < samples; ++s) scores(c, s) = static_cast<float>(size * std::abs(rng.normal()));
  }
  return scores;
}

std::vector<int64_t> identity(int64_t n) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

std::vector<int64_t> random_order(int64_t n, uint64_t seed) {
  std::vector<int64_t> order = identity(n);
  Rng rng(seed);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

bool is_permutation_of_all(std::vector<int64_t> order) {
  std::sort(order.begin(), order.end());
  return order == identity(static_cast<int64_t>(order.size()));
}

TEST(ShuffleChannels, KeepsMoreOfTheScoreAndEveryChannelOnce) {
  for (const Pattern pattern : kPatterns) {
    const ChannelScores scores = random_scores(120, 37, 5);
    const double plain = kept_score(scores, identity(120), pattern);
    const std::vector<int64_t> global = shuffle_channels(scores, pattern, {true, false, 256});
    const std::vector<int64_t> local = shuffle_channels(scores, pattern, {false, true, 40});
    const std::vector<int64_t> both = shuffle_channels(scores, pattern, {true, true, 256});
    for (const auto& order : {global, local, both}) EXPECT_TRUE(is_permutation_of_all(order));
    EXPECT_GE(kept_score(scores, global, pattern), plain);
    EXPECT_GT(kept_score(scores, local, pattern), plain);
    EXPECT_GT(kept_score(scores, both, pattern), kept_score(scores, global, pattern));
    EXPECT_GT(kept_score(scores, both, pattern), kept_score(scores, local, pattern));
  }
}

TEST(ShuffleChannels, LocalOrderStaysInsideItsBlocks) {
  const std::vector<int64_t> order = shuffle_channels(random_scores(64, 9, 6), {2, 4}, {false, true, 16});
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i] / 16, static_cast<int64_t>(i) / 16);
}

TEST(ShuffleChannels, FindsTheBestOrderOfATinyProblem) {
  // Two groups of two, one of two stays: the strong channels must not meet.
  ChannelScores scores(4, 1);
  const float values[] = {5.0f, 4.0f, 1.0f, 0.5f};
  std::copy_n(values, 4, scores.data());
  for (const ShuffleOptions options : {ShuffleOptions{true, false, 256}, ShuffleOptions{false, true, 256}})
    EXPECT_EQ(kept_score(scores, shuffle_channels(scores, {1, 2}, options), {1, 2}), 9.0);
}

TEST(ShuffleChannels, DoesNotDependOnTheThreadCount) {
  const ChannelScores scores = random_scores(256, 64, 8);
  std::vector<int64_t> orders[2];
  for (int i = 0; i < 2; ++i) {
    const WithThreads threads(i + 1);
    orders[i] = shuffle_channels(scores, {2, 4}, {true, true, 64});
  }
  EXPECT_EQ(orders[0], orders[1]);
}

// Two parts of rows with Gram matrices of their own; scores are what a weight adds to the output alone.
struct Problem {
  std::vector<Matrix<double>> grams;
  ReaderRows readers;

  Problem(int64_t rows, int64_t channels) : readers{{}, random_f64(2 * rows, channels, 21), {}} {
    for (uint64_t p = 0; p < 2; ++p) grams.push_back(random_gram(channels, 22 + 2 * p));
    for (const Matrix<double>& gram : grams) readers.grams.push_back(gram.view());
    readers.scores = Matrix<double>(2 * rows, channels);
    for (int64_t r = 0; r < 2 * rows; ++r)
      for (int64_t c = 0; c < channels; ++c)
        readers.scores(r, c) =
            readers.weights(r, c) * readers.weights(r, c) * readers.grams[r < rows ? 0 : 1](c, c);
  }
};

TEST(ShuffleByError, CountsTheErrorOfTheMask) {
  const Problem problem(5, 24);
  const std::vector<int64_t> order = random_order(24, 9);
  double expected = 0.0;
  for (int64_t r = 0; r < 10; ++r) {
    Matrix<double> scores(1, 24);
    for (int64_t i = 0; i < 24; ++i) scores(0, i) = problem.readers.scores(r, order[static_cast<size_t>(i)]);
    const Mask mask = best_mask(std::as_const(scores).view(), {2, 4});
    std::vector<double> lost(24, 0.0);
    for (int64_t i = 0; i < 24; ++i) {
      const int64_t c = order[static_cast<size_t>(i)];
      if (!mask.keeps(0, i)) lost[static_cast<size_t>(c)] = problem.readers.weights(r, c);
    }
    for (int64_t a = 0; a < 24; ++a)
      for (int64_t b = 0; b < 24; ++b)
        expected +=
            lost[static_cast<size_t>(a)] * lost[static_cast<size_t>(b)] * problem.grams[r < 5 ? 0 : 1](a, b);
  }
  EXPECT_NEAR(masked_error(order, problem.readers, {2, 4}), expected, 1e-9 * expected);
}

// The sample is all rows here: every exchange lowers the true error, by what was computed for it.
TEST(ShuffleByError, LowersTheError) {
  const Problem problem(20, 120);
  for (const Pattern pattern : kPatterns) {
    const std::vector<int64_t> by_score =
        shuffle_channels(channel_scores(std::span(&problem.readers.scores, 1)), pattern, {true, true, 120});
    const ShuffleOptions options = {true, true, 120, true};
    const std::vector<int64_t> order = shuffle_by_error(by_score, problem.readers, pattern, options);
    EXPECT_TRUE(is_permutation_of_all(order));
    EXPECT_LT(masked_error(order, problem.readers, pattern),
              0.98 * masked_error(by_score, problem.readers, pattern));
    const ShuffleOptions blocks = {true, true, 30, true};
    std::vector<int64_t> orders[2];
    for (int i = 0; i < 2; ++i) {
      const WithThreads threads(i + 1);
      orders[i] = shuffle_by_error(identity(120), problem.readers, pattern, blocks);
    }
    EXPECT_EQ(orders[0], orders[1]);
    EXPECT_TRUE(is_permutation_of_all(orders[0]));
  }
}

TEST(Permute, LeavesTheFunctionAlone) {
  const CalibrationSet set = random_calibration(2, 24);
  for (const TinyModelOptions& like :
       {TinyModelOptions{.tied = true, .biases = true}, TinyModelOptions{.tied = false, .biases = true},
        opt_like(), phi_like(), qwen3_like(), olmo2_like(), post_norm_like()}) {
    const Model dense = make_tiny_model(like);
    Model hidden = dense;
    permute_hidden(hidden.blocks[1].stages.back(), random_order(48, 1));
    EXPECT_LT(logit_difference(dense, hidden, set), 1e-5);
    const auto first_of_down = [](const Model& model) {
      return decode(std::get<Mlp>(model.blocks[1].stages.back().branches.back()).down.weight)(0, 0);
    };
    EXPECT_NE(first_of_down(hidden), first_of_down(dense));
    Model values = dense;
    for (int64_t k = 0; k < dense.config.kv_heads; ++k)
      permute_values(values.blocks[0].stages[0], k,
                     random_order(dense.config.head_dim, 2 + static_cast<uint64_t>(k)));
    EXPECT_LT(logit_difference(dense, values, set), 1e-5);
    Model residual = dense;
    const std::vector<int64_t> order = random_order(32, 4);
    permute_residual_ends(residual, order);
    for (Block& block : residual.blocks)
      for (Stage& stage : block.stages) stage = permute_residual(stage, order);
    EXPECT_LT(logit_difference(dense, residual, set), 1e-5);
    const auto first_written = [](const Model& model) {
      return decode(model.config.embedding_transform ? model.embedding_transform : model.embedding)(0, 0);
    };
    EXPECT_NE(first_written(residual), first_written(dense));
  }
}

// Bytes of the file that this process has in memory.
int64_t resident_bytes(const std::filesystem::path& file) {
  std::ifstream maps("/proc/self/smaps");
  int64_t kilobytes = 0;
  bool wanted = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.find('-') < line.find(' ')) wanted = line.ends_with(file.string());
    if (wanted && line.starts_with("Rss:")) kilobytes += std::stoll(line.substr(4));
  }
  return kilobytes * 1024;
}

// Every stage of a model larger than memory is permuted once before any is worked on.
TEST(Permute, LetsGoOfTheStagesItRead) {
  const TempDir folder;
  save_hf(make_tiny_model({.width = 256, .layers = 4, .head_dim = 64, .intermediate = 1024}), folder.path(),
          {.dtype = Encoding::kF32});
  const Model model = load_model(folder.path());
  const std::filesystem::path file = folder / "model.safetensors";
  const std::vector<int64_t> order = random_order(256, 4);
  const auto read_all = [&] {
    for (const Block& block : model.blocks)
      for (const Stage& stage : block.stages)
        for_each_linear(stage, [](Role, const Linear& linear) { decode(linear.weight); });
  };
  read_all();
  const int64_t all = resident_bytes(file);
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages) permute_residual(stage, order);
  EXPECT_GT(all, 12 << 20);
  EXPECT_LT(resident_bytes(file), all / 8);
}

}  // namespace
}  // namespace pare::test
