// Calibration sets and the walk over them.
#include "base/mapped_file.h"
#include "checkpoint/load.h"
#include "compress/calibrated.h"
#include "compress/walk/calibration_set.h"
#include "support/expect_error.h"

namespace pare::test {
namespace {

const std::filesystem::path kTiny = PARE_GOLDEN_DIR "/tiny-model";

// A text as one plain document.
Documents plain(std::string text, std::string source) {
  return {{std::move(text)}, false, std::move(source), ""};
}

std::string calibration_text() { return read_file(PARE_GOLDEN_DIR "/text/calibration.txt", 1 << 24); }

TEST(CalibrationFromText, TakesConsecutiveWindows) {
  const Tokenizer tokenizer = load_tokenizer(kTiny);
  const std::vector<int32_t> ids = tokenizer.encode(calibration_text());
  const CalibrationSet set =
      calibration_from_text(tokenizer, plain(calibration_text(), "the text"), {}, 3, 50);
  ASSERT_EQ(set.sequences.size(), 3u);
  EXPECT_EQ(set.seqlen(), 50);
  EXPECT_EQ(set.tokens(), 150);
  EXPECT_EQ(set.source, "the text");
  EXPECT_EQ(set.sha256.size(), 64u);
  for (int64_t i = 0; i < 150; ++i)
    EXPECT_EQ(set.sequences[static_cast<size_t>(i / 50)][static_cast<size_t>(i % 50)],
              ids[static_cast<size_t>(i)]);
  EXPECT_EQ(set.sha256,
            calibration_from_text(tokenizer, plain(calibration_text(), "other"), {}, 2, 75).sha256);
  EXPECT_NE(set.sha256,
            calibration_from_text(tokenizer, plain(calibration_text(), "the text"), {}, 3, 51).sha256);
}

TEST(CalibrationFromText, NamesTheNumbersWhenTheTextIsTooShort) {
  const Tokenizer tokenizer = load_tokenizer(kTiny);
  const size_t count = tokenizer.encode("Mira and the tide").size();
  EXPECT_PARE_ERROR(calibration_from_text(tokenizer, plain("Mira and the tide", "some.txt"), {}, 3, 50),
                    ErrorCode::kInvalid,
                    fmt::format("some.txt has {} tokens; 3 samples of 50 need 150", count));
  EXPECT_PARE_ERROR(calibration_from_text(tokenizer, plain("", "empty"), {}, 1, 2), ErrorCode::kInvalid,
                    "0 tokens");
  const auto all = static_cast<int64_t>(count);
  EXPECT_EQ(calibration_from_text(tokenizer, plain("Mira and the tide", ""), {}, 1, all).tokens(), all);
  EXPECT_PARE_ERROR(calibration_from_text(tokenizer, plain("Mira and the tide", ""), {}, 1, all + 1),
                    ErrorCode::kInvalid, "samples");
}

TEST(CalibrationFromText, RecordsFollowEachOtherAndAreParted) {
  const Tokenizer tokenizer = load_tokenizer(kTiny);
  const Documents records = {{"Mira and the tide", "Ada sang. Bram slept."}, true, "f", ""};
  std::vector<int32_t> ids = tokenizer.encode(records.texts[0]);
  ids.push_back(2);
  const std::vector<int32_t> second = tokenizer.encode(records.texts[1]);
  ids.insert(ids.end(), second.begin(), second.end());
  const std::vector<int32_t> ends = {2, 5};
  const auto seqlen = static_cast<int64_t>(ids.size()) / 2;
  const CalibrationSet set = calibration_from_text(tokenizer, records, ends, 2, seqlen);
  std::vector<int32_t> joined = set.sequences[0];
  joined.insert(joined.end(), set.sequences[1].begin(), set.sequences[1].end());
  ids.resize(joined.size());
  EXPECT_EQ(joined, ids);
}

TEST(CalibrationFromText, RefusesTextThatTheTokenizerDoesNotKnow) {
  const Tokenizer tokenizer = load_tokenizer(kTiny);
  std::string text;
  for (int i = 0; i < 50; ++i) text += "\ue123\uf234";  // private characters
  EXPECT_PARE_ERROR(calibration_from_text(tokenizer, plain(text, "f"), {}, 1, 64), ErrorCode::kInvalid,
                    "f: 100 % of its tokens are unknown or single bytes");
}

TEST(Calibration, RefusesSizesThatMakeNoSense) {
  const Tokenizer tokenizer = load_tokenizer(kTiny);
  const Model model = load_model(kTiny);
  WorkArea area;
  for (const int64_t bad : {0, -1})
    EXPECT_PARE_ERROR(calibration_from_text(tokenizer, plain("x", ""), {}, bad, 8), ErrorCode::kUsage,
                      "`nsamples`");
  for (const int64_t bad : {1, 0, -1})
    EXPECT_PARE_ERROR(calibration_from_model(model, &tokenizer, 1, bad, 0, area), ErrorCode::kUsage,
                      "`seqlen`");
  EXPECT_PARE_ERROR(calibration_from_model(model, &tokenizer, 1, 257, 0, area), ErrorCode::kInvalid,
                    "257, the model was made for at most 256");
  EXPECT_PARE_ERROR(calibration_from_text(tokenizer, plain("some text", "t"), {}, int64_t{1} << 62, 4),
                    ErrorCode::kInvalid, "t has");
}

TEST(MixedCalibration, TakesFromAllInTurn) {
  const auto set = [](std::vector<std::vector<int32_t>> sequences, std::string source) {
    return CalibrationSet{std::move(sequences), std::move(source), ""};
  };
  const CalibrationSet one = set({{1, 2}, {3, 4}, {5, 6}}, "one");
  const CalibrationSet mixed = mixed_calibration({one, set({{7, 8}}, "self")});
  EXPECT_EQ(mixed.sequences, (std::vector<std::vector<int32_t>>{{1, 2}, {7, 8}, {3, 4}, {5, 6}}));
  EXPECT_EQ(mixed.source, "one + self");
  EXPECT_EQ(mixed.sha256.size(), 64u);
  EXPECT_PARE_ERROR(mixed_calibration({one, set({{1}}, "short")}), ErrorCode::kInvalid,
                    "short have 1 tokens");
}

TEST(CalibrationFromModel, DependsOnTheSeedAlone) {
  const Tokenizer tokenizer = load_tokenizer(kTiny);
  const Model model = load_model(kTiny);
  const auto with = [&](uint64_t seed, int threads) {
    const WithThreads scope(threads);
    WorkArea area;
    return calibration_from_model(model, &tokenizer, 4, 40, seed, area);
  };
  const CalibrationSet set = with(0, 1);
  EXPECT_EQ(set.sequences.size(), 4u);
  EXPECT_EQ(set.source, "self");
  for (size_t i = 0; i < set.sequences.size(); ++i) {
    EXPECT_EQ(set.sequences[i].size(), 40u);
    if (i % 2 == 0) {
      EXPECT_EQ(set.sequences[i].front(), 1);  // BOS
    } else {
      EXPECT_FALSE(tokenizer.is_special(set.sequences[i].front()));
    }
  }
  EXPECT_NE(set.sequences[0], set.sequences[2]);
  EXPECT_EQ(with(0, 1).sequences, set.sequences);
  EXPECT_EQ(with(0, 2).sequences, set.sequences);
  EXPECT_EQ(with(0, 2).sha256, set.sha256);
  EXPECT_NE(with(1, 1).sequences, set.sequences);
}

TEST(CalibrationFromModel, BeginsWithOrdinaryTokensWhenThereIsNoBos) {
  const Tokenizer tokenizer = load_tokenizer(kTiny);
  Model model = load_model(kTiny);
  model.config.bos.reset();
  WorkArea area;
  const CalibrationSet set = calibration_from_model(model, &tokenizer, 64, 2, 0, area);
  std::vector<int32_t> first;
  for (const auto& sequence : set.sequences) {
    first.push_back(sequence.front());
    EXPECT_FALSE(tokenizer.is_special(sequence.front()));
  }
  std::sort(first.begin(), first.end());
  EXPECT_GT(std::unique(first.begin(), first.end()) - first.begin(), 32);
}

TEST(CalibrationWalk, GivesWhatTheForwardPassGives) {
  const Model model = make_tiny_model({.biases = true});
  const CalibrationSet set = random_calibration(3, 20);
  WorkArea area;
  CalibrationWalk walk(set, model.config, area, "walk", ComputeType::kF32);
  walk.start(model);
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages) {
      const Matrix<float> before = stream_of(walk);
      Matrix<float> peeked(walk.tokens(), before.cols());
      int64_t seen = 0;
      const StageWatch watch{{}, {}, [&](MatrixView<const float> y) {
                               for (int64_t r = 0; r < y.rows; ++r)
                                 std::copy_n(y.row(r), y.cols, peeked.row(seen++));
                             }};
      walk.peek(stage, "stage", watch);
      EXPECT_EQ(relative_difference(before.view(), stream_of(walk).view()), 0.0);
      walk.run(stage, "stage");
      EXPECT_EQ(relative_difference(peeked.view(), stream_of(walk).view()), 0.0);
    }
  Matrix<float> hidden = stream_of(walk);
  apply_norm(model.final_norm, std::as_const(hidden).view(), hidden.view());
  const PackedModel packed(model, ComputeType::kF32);
  for (int64_t s = 0; s < 3; ++s) {
    KvCache cache(packed, 20);
    const Matrix<float> expected =
        download(forward(packed, set.sequences[static_cast<size_t>(s)], cache)).matrix();
    EXPECT_LT(relative_difference(expected.view(), std::as_const(hidden).view().rows_of(s * 20, 20)), 1e-6);
  }
}

TEST(CalibrationWalk, NamesTheStageWhoseActivationsOverflow) {
  Model model = make_tiny_model();
  Mlp& mlp = std::get<Mlp>(model.blocks[1].stages[1].branches[0]);
  for (Linear* linear : {&mlp.up, &mlp.down}) {
    Matrix<float> w = decode(linear->weight);
    for (int64_t i = 0; i < w.size(); ++i) w.data()[i] *= 1e30f;
    linear->weight = Weight::from_matrix(std::as_const(w).view());
  }
  const CalibrationSet set = random_calibration(1, 8);
  WorkArea area;
  CalibrationWalk walk(set, model.config, area, "walk", ComputeType::kF32);
  walk.start(model);
  EXPECT_PARE_ERROR(walk.run(model.blocks[1].stages[1], "layer 1"), ErrorCode::kNumeric,
                    "layer 1: activations hold a NaN or an infinity");
}

}  // namespace
}  // namespace pare::test
