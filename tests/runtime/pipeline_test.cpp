// A model whose blocks are spread over ranks computes what it computes on one, to the bit.
#include "runtime/pipeline.h"

#include <cstring>
#include <functional>

#include "base/rng.h"
#include "runtime/forward.h"
#include "support/expect_error.h"
#include "support/thread_ranks.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

std::vector<int32_t> random_tokens(int64_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<int32_t> tokens;
  for (int64_t t = 0; t < count; ++t) tokens.push_back(static_cast<int32_t>(rng.below(64)));
  return tokens;
}

bool same(const Matrix<float>& a, const Matrix<float>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(float)) == 0;
}

// Runs `drive` on rank 0 with the model spread over `count` ranks.
void on_ranks(int count, const Model& model, const std::function<void(const PackedModel&)>& drive) {
  run_ranks(count, [&](Comm& comm) {
    std::vector<Placement> placements = {split_blocks(model, count)[static_cast<size_t>(comm.rank())]};
    if (comm.is_first())
      placements.push_back(
          {placements.front().end, model.blocks.size(), nullptr,
           std::make_shared<Pipeline>(comm, 0, model.head_weight().cols, model.head_weight().rows)});
    const PackedModel packed(model, ComputeType::kF32, placements);
    const PackedModel* models[] = {&packed};
    if (!comm.is_first()) return serve_stages(comm, models);
    const PipelineSession session(comm);
    drive(packed);
  });
}

// Two sequences that grow together, one of which goes back: prefill, decode, truncation.
std::vector<Matrix<float>> conversation(const PackedModel& model) {
  std::vector<Matrix<float>> logits;
  KvCache a(model, 40);
  KvCache b(model, 24);
  const std::vector<int32_t> first = random_tokens(17, 1);
  const std::vector<int32_t> second = random_tokens(9, 2);
  logits.push_back(logits_of(model, forward(model, first, a)));
  const SequenceStep both[] = {{std::span(first).first(1), &a}, {second, &b}};
  logits.push_back(logits_of(model, forward_batch(model, both)));
  a.truncate(5);
  { const KvCache unused(model, 8); }
  logits.push_back(logits_of(model, forward(model, second, a)));
  return logits;
}

class PipelineModels : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Models, PipelineModels, ::testing::Range(0, 4));

Model model_number(int number) {
  TinyModelOptions options = number == 1 ? opt_like() : number == 2 ? phi_like() : TinyModelOptions{};
  options.layers = 5;
  options.tied = number != 3;
  return make_tiny_model(options);
}

TEST_P(PipelineModels, ComputeTheSameOnAnyNumberOfRanks) {
  const Model model = model_number(GetParam());
  const std::vector<Matrix<float>> alone = conversation(PackedModel(model, ComputeType::kF32));
  for (const int count : {2, 3, 5})
    on_ranks(count, model, [&](const PackedModel& packed) {
      const std::vector<Matrix<float>> got = conversation(packed);
      ASSERT_EQ(got.size(), alone.size());
      for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(same(got[i], alone[i])) << count << " ranks, " << i;
    });
}

TEST(Pipeline, EveryRankPacksItsShareOnly) {
  const Model model = model_number(0);
  const PackedModel whole(model, ComputeType::kF32);
  size_t stages = 0;
  int64_t bytes = 0;
  for (const Placement& share : split_blocks(model, 3)) {
    const PackedModel part(model, ComputeType::kF32, std::span(&share, 1));
    EXPECT_EQ(part.stages.size(), 2 * (share.end - share.begin));
    EXPECT_EQ(part.embedding.table == nullptr, share.begin > 0);
    EXPECT_EQ(part.head.logits != nullptr, share.end == model.blocks.size());
    stages += part.stages.size();
    for (const PackedLinear* linear : part.linears()) bytes += linear->bytes();
  }
  EXPECT_EQ(stages, whole.stages.size());
  int64_t all = 0;
  for (const PackedLinear* linear : whole.linears()) all += linear->bytes();
  EXPECT_EQ(bytes, all);
}

TEST(Pipeline, SharesAreContiguousAndTheLargestIsAsSmallAsCanBe) {
  TinyModelOptions options;
  options.layers = 6;
  options.vocab = 8;  // the head hardly counts
  const auto sizes = [](const std::vector<Placement>& shares) {
    std::vector<size_t> counts;
    size_t end = 0;
    for (const Placement& share : shares) {
      EXPECT_EQ(share.begin, end);
      end = share.end;
      counts.push_back(share.end - share.begin);
    }
    return counts;
  };
  EXPECT_THAT(sizes(split_blocks(make_tiny_model(options), 1)), testing::ElementsAre(6));
  EXPECT_THAT(sizes(split_blocks(make_tiny_model(options), 6)), testing::ElementsAre(1, 1, 1, 1, 1, 1));
  // A head as large as two blocks.
  const Model small = make_tiny_model(options);
  int64_t block = 0;
  for (const Stage& stage : small.blocks[0].stages)
    for (const Branch& branch : stage.branches) {
      if (const auto* a = std::get_if<Attention>(&branch))
        block += a->q.weight.values() + a->k.weight.values() + a->v.weight.values() + a->o.weight.values();
      else if (const auto* m = std::get_if<Mlp>(&branch))
        block += m->gate.weight.values() + m->up.weight.values() + m->down.weight.values();
    }
  options.vocab = 2 * block / options.width;
  EXPECT_THAT(sizes(split_blocks(make_tiny_model(options), 2)), testing::ElementsAre(4, 2));
  EXPECT_PARE_ERROR(split_blocks(small, 7), ErrorCode::kUsage, "6 layers, too few for 7 ranks");
}

TEST(Pipeline, PartsHoldWhatTheirRanksNeed) {
  for (const int number : {0, 1, 3}) {
    const Model model = model_number(number);
    const Model first = part_of(model, {0, 2});
    const Model last = part_of(model, {2, 5});
    EXPECT_FALSE(first.embedding.empty());
    EXPECT_TRUE(first.head.empty());
    EXPECT_EQ(first.positions.empty(), model.positions.empty());
    EXPECT_TRUE(last.positions.empty());
    EXPECT_EQ(last.embedding.empty(), !model.head.empty());  // a tied head is the embedding
    EXPECT_EQ(last.head.empty(), model.head.empty());
    EXPECT_EQ(first.blocks[1].stages.size(), model.blocks[1].stages.size());
    EXPECT_TRUE(first.blocks[2].stages.empty() && last.blocks[1].stages.empty());
  }
}

TEST(Pipeline, AnErrorBeforeTheOthersAreAskedLeavesThemAtWork) {
  const Model model = model_number(0);
  on_ranks(2, model, [&](const PackedModel& packed) {
    KvCache cache(packed, 4);
    EXPECT_PARE_ERROR(forward(packed, random_tokens(5, 1), cache), ErrorCode::kInvalid, "context of 4");
    const std::vector<int32_t> unknown = {1000};
    EXPECT_PARE_ERROR(forward(packed, unknown, cache), ErrorCode::kInvalid, "outside the vocabulary");
    EXPECT_EQ(forward(packed, random_tokens(3, 1), cache).rows(), 3);
  });
}

}  // namespace
}  // namespace pare::test
