// Slicing the residual stream: exact at full width, of the announced size below it.
#include "compress/slice/residual.h"

#include <algorithm>
#include <numeric>

#include "checkpoint/arch/architecture.h"
#include "checkpoint/load.h"
#include "checkpoint/save.h"
#include "compress/calibrated.h"
#include "compress/slice/fuse.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace pare::test {
namespace {

Model sliced_residual(const Model& model, const CalibrationSet& set, const ResidualOptions& options,
                      Report& report) {
  WorkArea area;
  return slice_residual(model, set, options, area, report);
}

struct Case {
  Rotation rotation;
  bool slice_head;  // option of the block rotation
  bool tied;
  bool keep_tie;  // option of a tied model
  Covariance covariance;
  bool biases;
  TinyModelOptions like = {};
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const Covariance covariance : {Covariance::kRaw, Covariance::kNormalized})
    for (const bool biases : {false, true})
      for (const auto& [tied, keep_tie] :
           std::vector<std::pair<bool, bool>>{{true, true}, {true, false}, {false, true}}) {
        cases.push_back({Rotation::kBlock, true, tied, keep_tie, covariance, biases});
        cases.push_back({Rotation::kBlock, false, tied, keep_tie, covariance, biases});
        cases.push_back({Rotation::kGlobal, true, tied, keep_tie, covariance, biases});
      }
  for (const Covariance covariance : {Covariance::kRaw, Covariance::kNormalized})
    for (const TinyModelOptions& like : {opt_like(), phi_like()})
      for (const auto& [tied, keep_tie] :
           std::vector<std::pair<bool, bool>>{{true, true}, {true, false}, {false, true}}) {
        cases.push_back({Rotation::kBlock, true, tied, keep_tie, covariance, true, like});
        cases.push_back({Rotation::kBlock, false, tied, keep_tie, covariance, true, like});
        cases.push_back({Rotation::kGlobal, true, tied, keep_tie, covariance, true, like});
      }
  for (const bool biases : {false, true})
    for (const auto& [tied, keep_tie] :
         std::vector<std::pair<bool, bool>>{{true, true}, {true, false}, {false, true}}) {
      cases.push_back(
          {Rotation::kBlock, true, tied, keep_tie, Covariance::kNormalized, biases, qwen3_like()});
      cases.push_back(
          {Rotation::kGlobal, true, tied, keep_tie, Covariance::kNormalized, biases, qwen3_like()});
    }
  return cases;
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  const Case& c = info.param;
  return fmt::format("{}_{}{}_{}_{}_{}", c.like.architecture,
                     c.rotation == Rotation::kBlock    ? "Block"
                     : c.rotation == Rotation::kGlobal ? "Global"
                                                       : "Random",
                     c.slice_head ? "" : "WholeHead",
                     !c.tied      ? "Untied"
                     : c.keep_tie ? "Tied"
                                  : "TieCut",
                     c.covariance == Covariance::kRaw ? "Raw" : "Normalized", c.biases ? "Biases" : "Bare");
}

class SliceResidual : public ::testing::TestWithParam<Case> {
 protected:
  Model model() const {
    TinyModelOptions like = GetParam().like;
    like.tied = GetParam().tied;
    like.biases = GetParam().biases;
    return make_tiny_model(like);
  }
  ResidualOptions options(int64_t width) const {
    const Case& c = GetParam();
    return {width, c.rotation, c.covariance, c.slice_head, c.keep_tie};
  }
};

TEST_P(SliceResidual, FullWidthGivesTheSameLogits) {
  const Model dense = model();
  const CalibrationSet set = random_calibration(3, 40);
  Report report;
  const Model rotated = sliced_residual(dense, set, options(32), report);
  EXPECT_LT(logit_difference(dense, rotated, random_calibration(1, 40, 64, 99)), 1e-4);
  // The rotation is a real one: not one weight of the embedding survives it.
  EXPECT_GT(relative_difference(decode(dense.embedding).view(), decode(rotated.embedding).view()), 0.1);
  ASSERT_GE(report.checks.size(), 2u);
  for (const ExactCheck& check : report.checks) EXPECT_LT(check.relative_difference, 1e-4) << check.name;
}

TEST_P(SliceResidual, NarrowerModelHasTheAnnouncedSize) {
  const Model dense = model();
  const CalibrationSet set = random_calibration(2, 40);
  for (const int64_t width : {24, 1}) {
    Report report;
    const Model sliced = sliced_residual(dense, set, options(width), report);
    EXPECT_EQ(model_size(sliced).parameters, residual_sliced_parameters(dense, options(width)));
    EXPECT_EQ(sliced.embedding.cols, width);
    // The norms still divide by what the model was trained with, or say the same in a plain norm.
    const Norm& norm = sliced.blocks[1].stages[0].norm;
    EXPECT_DOUBLE_EQ(norm.divisor, norm.weight.empty() ? 32.0 : static_cast<double>(width));
  }
}

TEST_P(SliceResidual, StoredModelHasTheAnnouncedSizeAndLogits) {
  const Model dense = model();
  const CalibrationSet set = random_calibration(2, 40);
  Report report;
  const Model sliced = sliced_residual(dense, set, options(24), report);
  const TempDir folder;
  save_hf(sliced, folder.path(), {.dtype = Encoding::kF32});
  const Model reloaded = load_model(folder.path());
  EXPECT_EQ(model_size(reloaded).parameters, residual_sliced_parameters(dense, options(24)));
  EXPECT_LT(logit_difference(sliced, reloaded, set), 1e-6);
}

INSTANTIATE_TEST_SUITE_P(AllOptions, SliceResidual, ::testing::ValuesIn(all_cases()), case_name);

class RandomBasis : public ::testing::TestWithParam<Case> {};

std::vector<Case> random_cases() {
  std::vector<Case> cases;
  for (const TinyModelOptions& like : {TinyModelOptions(), qwen3_like(), opt_like(), phi_like()})
    for (const auto& [tied, keep_tie] :
         std::vector<std::pair<bool, bool>>{{true, true}, {true, false}, {false, true}})
      cases.push_back({Rotation::kRandom, true, tied, keep_tie, Covariance::kNormalized, true, like});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(AllModels, RandomBasis, ::testing::ValuesIn(random_cases()), case_name);

// Returns the energy of the strongest column of a matrix, in those that a column has on average.
double strongest_column(const Weight& weight) {
  const Matrix<float> w = decode(weight);
  std::vector<double> energies(static_cast<size_t>(w.cols()), 0.0);
  for (int64_t r = 0; r < w.rows(); ++r)
    for (int64_t c = 0; c < w.cols(); ++c)
      energies[static_cast<size_t>(c)] += static_cast<double>(w(r, c)) * static_cast<double>(w(r, c));
  const double sum = std::accumulate(energies.begin(), energies.end(), 0.0);
  return *std::max_element(energies.begin(), energies.end()) * static_cast<double>(w.cols()) / sum;
}

TEST_P(RandomBasis, GivesTheSameLogitsAndMixesChannels) {
  TinyModelOptions like = GetParam().like;
  like.tied = GetParam().tied;
  Model dense = make_tiny_model(like);
  Matrix<float> embedding = decode(dense.embedding);
  for (int64_t r = 0; r < embedding.rows(); ++r) embedding(r, 5) *= 20.0f;
  dense.embedding = Weight::from_matrix(std::as_const(embedding).view());
  const ResidualOptions options{32, Rotation::kRandom, Covariance::kNormalized, true, GetParam().keep_tie};
  CalibrationSet set = random_calibration(2, 40);
  Report report;
  const Model rotated = sliced_residual(dense, set, options, report);
  EXPECT_LT(logit_difference(dense, rotated, random_calibration(1, 40, 64, 99)), 1e-4);
  EXPECT_EQ(rotated.head.empty(), GetParam().tied && GetParam().keep_tie);
  EXPECT_GT(strongest_column(dense.embedding), 20.0);
  EXPECT_LT(strongest_column(rotated.embedding), 8.0);
  const auto difference = [&](const Model& other) {
    return relative_difference(decode(rotated.embedding).view(), decode(other.embedding).view());
  };
  EXPECT_EQ(difference(sliced_residual(dense, set, options, report)), 0.0);
  set.seed += 1;
  EXPECT_GT(difference(sliced_residual(dense, set, options, report)), 0.1);
}

TEST(SliceResidualModel, KeepsMoreOfTheFunctionWithMoreWidth) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(4, 48);
  for (const Rotation rotation : {Rotation::kBlock, Rotation::kGlobal}) {
    double last = 1e9;
    for (const int64_t width : {8, 20, 31}) {
      Report report;
      const double difference = logit_difference(
          dense, sliced_residual(dense, set, {width, rotation, Covariance::kNormalized, true, true}, report),
          set);
      EXPECT_LT(difference, last) << width;
      EXPECT_GT(difference, 1e-3) << width;
      last = difference;
    }
  }
}

// Replaces W by W·P or P·W for a projector P (32, 32).
void project(Weight& weight, const Matrix<double>& projector, bool rows) {
  const Matrix<double> w = decode_f64(weight);
  const Matrix<double> projected =
      rows ? matmul(projector.view(), w.view()) : matmul(w.view(), projector.view());
  weight = Weight::from_matrix(projected.view());
}

// Embedding and writers stay in 20 of 32 dimensions.
void keep_to_subspace(Model& dense) {
  const Matrix<double> basis = random_orthogonal(32, 3);
  const MatrixView<const double> kept = basis.view().block(0, 0, 32, 20);
  const Matrix<double> projector = matmul_nt(kept, kept);
  project(dense.embedding, projector, false);
  for (Block& block : dense.blocks) {
    project(std::get<Attention>(block.stages[0].branches[0]).o.weight, projector, true);
    project(std::get<Mlp>(block.stages[1].branches[0]).down.weight, projector, true);
  }
}

TEST(SliceResidualModel, CutsAnUnusedSubspaceExactly) {
  Model dense = make_tiny_model();
  keep_to_subspace(dense);
  const CalibrationSet set = random_calibration(3, 40);
  for (const Rotation rotation : {Rotation::kBlock, Rotation::kGlobal}) {
    Report report;
    const ResidualOptions options{20, rotation, Covariance::kNormalized, true, false};
    // Calibration in bf16 rounds the writers out of their subspace by 2^-9, and the basis follows.
    const bool rounds = calibration_compute() == ComputeType::kBF16;
    EXPECT_LT(logit_difference(dense, sliced_residual(dense, set, options, report), set),
              rounds ? 0x1p-8 : 1e-4);
    EXPECT_GT(
        logit_difference(
            dense, sliced_residual(dense, set, {19, rotation, Covariance::kRaw, true, false}, report), set),
        1e-2);
  }
}

TEST(SliceResidualModel, GlobalUntiedSliceIsAPlainCheckpoint) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(2, 40);
  ResidualOptions options{24, Rotation::kGlobal, Covariance::kNormalized, true, false};
  Report report;
  const Model sliced = sliced_residual(dense, set, options, report);
  EXPECT_TRUE(is_plain(sliced));
  const TempDir folder;
  save_hf(sliced, folder.path(), {.dtype = Encoding::kF32});
  const Model reloaded = load_model(folder.path());
  EXPECT_TRUE(is_plain(reloaded));
  EXPECT_LT(logit_difference(sliced, reloaded, set), 1e-6);
  options.keep_tie = true;
  EXPECT_FALSE(is_plain(sliced_residual(dense, set, options, report)));
  options = {24, Rotation::kBlock, Covariance::kNormalized, true, false};
  EXPECT_FALSE(is_plain(sliced_residual(dense, set, options, report)));
}

// Norms of queries and keys share the eps that the plain norms get: so large an eps shows what it changes.
TEST(SliceResidualModel, PlainCheckpointsKeepTheNormsOfQueriesAndKeys) {
  Model dense = make_tiny_model(qwen3_like());
  for (Block& block : dense.blocks)
    for (Stage& stage : block.stages) {
      stage.norm.eps = 0.3;
      for (Branch& branch : stage.branches)
        if (auto* a = std::get_if<Attention>(&branch)) a->q_norm.eps = a->k_norm.eps = 0.3;
    }
  dense.config.norm_eps = dense.final_norm.eps = 0.3;
  // 12 of 32 channels of the stream are nothing, so cutting them is exact.
  keep_to_subspace(dense);
  const CalibrationSet set = random_calibration(3, 40);
  Report report;
  const ResidualOptions options{20, Rotation::kGlobal, Covariance::kNormalized, true, false};
  const Model sliced = sliced_residual(dense, set, options, report);
  EXPECT_TRUE(is_plain(sliced));
  EXPECT_EQ(writing_architecture(sliced.config).name, "qwen3");
  EXPECT_DOUBLE_EQ(std::get<Attention>(sliced.blocks[1].stages[0].branches[0]).q_norm.eps, 0.3 * 32 / 20);
  const bool rounds = calibration_compute() == ComputeType::kBF16;
  EXPECT_LT(logit_difference(dense, sliced, set), rounds ? 0x1p-8 : 1e-4);
  const TempDir folder;
  save_hf(sliced, folder.path(), {.dtype = Encoding::kF32});
  EXPECT_LT(logit_difference(sliced, load_model(folder.path()), set), 1e-6);
}

TEST(SliceResidualModel, RefusesWidthsAndModelsItCannotSlice) {
  const Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(1, 16);
  Report report;
  for (const int64_t width : {0, 33, -4})
    EXPECT_PARE_ERROR(sliced_residual(dense, set, {width}, report), ErrorCode::kUsage,
                      fmt::format("1..32, got {}", width));
  const Model sliced =
      sliced_residual(dense, set, {24, Rotation::kBlock, Covariance::kRaw, false, true}, report);
  EXPECT_PARE_ERROR(sliced_residual(sliced, set, {16}, report), ErrorCode::kUnsupported, "several widths");
}

TEST(SliceResidualModel, CanSliceASliceAgain) {
  const CalibrationSet set = random_calibration(2, 40);
  for (const Rotation first : {Rotation::kBlock, Rotation::kGlobal})
    for (const Rotation second : {Rotation::kBlock, Rotation::kGlobal})
      for (const bool tie_first : {true, false})
        for (const bool tie_second : {true, false}) {
          SCOPED_TRACE(fmt::format("{} {} {} {}", static_cast<int>(first), static_cast<int>(second),
                                   tie_first, tie_second));
          Report report;
          const Model once =
              sliced_residual(make_tiny_model(), set, {24, first, Covariance::kRaw, true, tie_first}, report);
          for (const int64_t width : {24, 20}) {
            const ResidualOptions options{width, second, Covariance::kRaw, true, tie_second};
            const Model twice = sliced_residual(once, set, options, report);
            EXPECT_EQ(model_size(twice).parameters, residual_sliced_parameters(once, options));
            if (width == 24) {
              EXPECT_LT(logit_difference(once, twice, set), 1e-4);
            }
          }
        }
}

Weight shape_only(int64_t rows, int64_t cols) {
  static constexpr std::byte kNothing = {};
  Weight weight;
  weight.rows = rows;
  weight.cols = cols;
  weight.data = &kNothing;  // not empty
  return weight;
}

// SmolLM2-135M as the SliceGPT reference makes it at 25 %, counted from its state dict.
TEST(ResidualSlicedParameters, MatchesTheReferenceOnSmolLm2) {
  Model model;
  model.config.vocab_size = 49152;
  model.config.embedding_width = 576;
  model.embedding = shape_only(49152, 576);
  model.blocks.resize(30);
  for (Block& block : model.blocks) {
    Attention attention{9, 3, 64, 64, {}, {}, {}, {}};
    attention.q.weight = shape_only(576, 576);
    attention.k.weight = shape_only(192, 576);
    attention.v.weight = shape_only(192, 576);
    attention.o.weight = shape_only(576, 576);
    Mlp mlp;
    mlp.gate.weight = shape_only(1536, 576);
    mlp.up.weight = shape_only(1536, 576);
    mlp.down.weight = shape_only(576, 1536);
    block.stages = {{{}, {attention}, {}}, {{}, {mlp}, {}}};
  }
  EXPECT_EQ(residual_sliced_parameters(model, {432, Rotation::kBlock, Covariance::kRaw, false, false}),
            140652288);
}

// OPT-125m and Phi-2 as the SliceGPT reference makes them at 20 %: arXiv 2401.15024, counted from its state
// dicts.
Model shape_of(int64_t vocab, int64_t width, int64_t hidden, size_t layers, bool parallel) {
  Model model;
  model.config.vocab_size = vocab;
  model.config.embedding_width = width;
  model.embedding = shape_only(vocab, width);
  const auto linear = [](int64_t out, int64_t in) {
    return Linear{shape_only(out, in), std::vector<float>(static_cast<size_t>(out))};
  };
  const std::vector<float> ones(static_cast<size_t>(width), 1.0f);
  const Norm norm{ones, static_cast<double>(width), 1e-5, NormKind::kLayer, ones};
  Attention attention{};
  attention.q = attention.k = attention.v = attention.o = linear(width, width);
  Mlp mlp;
  mlp.up = linear(hidden, width);
  mlp.down = linear(width, hidden);
  Block block;
  if (parallel)
    block.stages = {{norm, {attention, mlp}, {}}};
  else
    block.stages = {{norm, {attention}, {}}, {norm, {mlp}, {}}};
  model.blocks.assign(layers, block);
  model.final_norm = norm;
  return model;
}

TEST(ResidualSlicedParameters, MatchesTheReferenceOnOpt125m) {
  Model model = shape_of(50272, 768, 3072, 12, false);
  model.positions = shape_only(2050, 768);
  // 0.8 · 768, down to a multiple of 8.
  EXPECT_EQ(residual_sliced_parameters(model, {608, Rotation::kBlock, Covariance::kRaw, false, false}),
            147250880);
}

TEST(ResidualSlicedParameters, MatchesTheReferenceOnPhi2) {
  Model model = shape_of(51200, 2560, 10240, 32, true);
  model.head = shape_only(51200, 2560);
  model.head_bias.resize(51200);
  EXPECT_EQ(residual_sliced_parameters(model, {2048, Rotation::kBlock, Covariance::kRaw, false, false}),
            2391772160);
}

TEST(SliceResidualModel, LayerNormsOfFixedMeanNeedItsDirectionOnlyForATiedHead) {
  // Narrower by one than the stream: the direction of the mean is the one that goes, which is exact.
  const CalibrationSet set = random_calibration(4, 40);
  for (TinyModelOptions like : {opt_like(), phi_like()}) {
    like.tied = false;
    const Model dense = make_tiny_model(like);
    for (const Rotation rotation : {Rotation::kBlock, Rotation::kGlobal}) {
      Report report;
      const Model sliced =
          sliced_residual(dense, set, {31, rotation, Covariance::kNormalized, true, true}, report);
      EXPECT_LT(logit_difference(dense, sliced, set), 1e-4);
    }
  }
}

TEST(SliceResidualModel, StagesOfAFinishedRunAreTakenFromItsArea) {
  const CalibrationSet set = random_calibration(2, 40);
  for (const TinyModelOptions& like : {TinyModelOptions{}, opt_like(), phi_like()}) {
    const Model dense = make_tiny_model(like);
    for (const Rotation rotation : {Rotation::kBlock, Rotation::kGlobal}) {
      const TempDir folder;
      const ResidualOptions options{24, rotation, Covariance::kNormalized, true, true};
      Report first;
      Report second;
      WorkArea area(folder / "work", Encoding::kF32, false);
      const Model once = slice_residual(dense, set, options, area, first);
      const Model again = slice_residual(dense, set, options, area, second);
      EXPECT_EQ(logit_difference(once, again, set), 0.0);
      EXPECT_EQ(first.checks.size(), second.checks.size());
    }
  }
}

TEST(FuseNorm, KeepsTheFunctionOfStagesWithLayerNorms) {
  const CalibrationSet set = random_calibration(1, 40);
  for (const TinyModelOptions& like : {opt_like(), phi_like()}) {
    const Model dense = make_tiny_model(like);
    Model fused = dense;
    const Matrix<double> centered = matmul(decode_f64(dense.embedding).view(), centering(32, 0.0).view());
    fused.head = dense.head_weight();
    fused.embedding = Weight::from_matrix(centered.view());
    if (!dense.positions.empty()) {
      const Matrix<double> positions = matmul(decode_f64(dense.positions).view(), centering(32, 0.0).view());
      fused.positions = Weight::from_matrix(positions.view());
    }
    for (Block& block : fused.blocks)
      for (Stage& stage : block.stages) {
        stage = fuse_norm(center_writers(stage));
        EXPECT_EQ(stage.norm.kind, NormKind::kRms);
        EXPECT_TRUE(stage.norm.weight.empty() && stage.norm.bias.empty());
      }
    fused.head_transform = Weight::from_matrix(fused_head_map(dense).view());
    fused.head_bias = fused_head_bias(dense);
    fused.final_norm = fuse_norm({dense.final_norm, {}, {}}).norm;
    update_config(fused);
    EXPECT_LT(logit_difference(dense, fused, set), 1e-5);
  }
}

TEST(FuseNorm, KeepsTheFunctionOfTheStage) {
  const Model dense = make_tiny_model({.biases = true});
  const CalibrationSet set = random_calibration(1, 40);
  Model fused = dense;
  for (Block& block : fused.blocks)
    for (Stage& stage : block.stages) {
      stage = fuse_norm(stage);
      EXPECT_TRUE(stage.norm.weight.empty());
    }
  EXPECT_LT(logit_difference(dense, fused, set), 1e-5);
}

TEST(FuseNorm, MovesTheFinalNormBeforeTheHead) {
  Model dense = make_tiny_model();
  const CalibrationSet set = random_calibration(1, 40);
  for (const bool transformed : {false, true}) {
    if (transformed) dense.head_transform = Weight::from_matrix(random_orthogonal(32, 4).view());
    Model fused = dense;
    const Matrix<double> fused_map = fused_head_map(dense);
    fused.head_transform = Weight::from_matrix(fused_map.view());
    fused.final_norm.weight.clear();
    update_config(fused);
    EXPECT_LT(logit_difference(dense, fused, set), 1e-5);
  }
}

}  // namespace
}  // namespace pare::test
