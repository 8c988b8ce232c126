// Rounding to few bits: rows, linears, embedding and head.
#include "compress/quantize/quantize.h"

#include <gtest/gtest.h>

#include <cstring>

#include "compress/calibrated.h"
#include "compress/kept_patterns.h"
#include "compress/quantize/quantize_pass.h"
#include "compress/quantize/round_rows.h"
#include "compress/run_passes.h"
#include "compress/solve/refine.h"
#include "compress/sparse_rows.h"
#include "model/visit.h"
#include "support/expect_error.h"
#include "tensor/row_grid.h"

namespace pare::test {
namespace {

QuantizeOptions with(RoundingMethod method, const char* format = "q4n", int64_t sweeps = 2) {
  QuantizeOptions options;
  options.method = method;
  options.format = QuantizeScheme(format);
  options.sweeps = sweeps;
  return options;
}

// tr((V − T)·H·(V − T)ᵀ) of rounded random rows.
double rounding_error(const QuantizeOptions& options, int64_t n, std::vector<std::byte>* bytes = nullptr) {
  const Encoding encoding = options.format.encodings().front();
  const Matrix<double> target = random_f64(24, n, 3);
  const Matrix<double> h = random_gram(n, 5);
  InputGram gram(h.clone());
  std::vector<std::byte> written(static_cast<size_t>(24 * row_bytes(encoding, n)));
  const Matrix<double> values = round_rows(target.view(), gram, options, encoding, written.data());
  std::vector<float> decoded(static_cast<size_t>(n));
  for (int64_t r = 0; r < 24; ++r) {
    decode_values(encoding, written.data() + r * row_bytes(encoding, n), n, decoded.data());
    for (int64_t c = 0; c < n; ++c)
      EXPECT_NEAR(decoded[static_cast<size_t>(c)], values(r, c), 1e-5 * (1.0 + std::abs(values(r, c))));
  }
  if (bytes != nullptr) *bytes = std::move(written);
  return layer_error(values.view(), target.view(), h.view());
}

TEST(RoundRows, EachMethodLosesLessThanTheOneBefore) {
  for (const std::string& name : QuantizeScheme::names()) {
    const QuantizeScheme scheme(name);
    if (scheme.is_mixture()) continue;
    SCOPED_TRACE(name);
    const char* encoding = name.c_str();
    const int64_t n = encoding_info(scheme.encodings().front()).block_values == 32 ? 160 : 512;
    const double nearest = rounding_error(with(RoundingMethod::kNearest, encoding), n);
    const double weighted = rounding_error(with(RoundingMethod::kWeighted, encoding), n);
    const double feedback = rounding_error(with(RoundingMethod::kFeedback, encoding, 0), n);
    const double once = rounding_error(with(RoundingMethod::kFeedback, encoding, 1), n);
    const double often = rounding_error(with(RoundingMethod::kFeedback, encoding, 4), n);
    EXPECT_LT(weighted, 1.05 * nearest);
    EXPECT_LT(feedback, 0.6 * weighted);
    EXPECT_LT(once, feedback);
    EXPECT_LE(often, once);
  }
}

// Changes a scale, or a minimum, of every block of rounded rows by a hundredth, alone.
TEST(RoundRows, ManySweepsEndWhereNoScaleAndNoMinimumShouldMove) {
  const QuantizeOptions options = with(RoundingMethod::kFeedback, "q4_1", 30);
  const int64_t n = 160;
  const Matrix<double> target = random_f64(24, n, 3);
  const Matrix<double> h = random_gram(n, 5);
  const int64_t stride = row_bytes(Encoding::kQ4_1, n);
  std::vector<std::byte> bytes;
  rounding_error(options, n, &bytes);
  for (int64_t r = 0; r < 24; ++r) {
    RowCodes row;
    take_row_codes(Encoding::kQ4_1, bytes.data() + r * stride, n, row);
    const auto error = [&] {
      std::vector<std::byte> changed(static_cast<size_t>(stride));
      put_row_codes(Encoding::kQ4_1, row, changed.data());
      Matrix<float> decoded(1, n);
      decode_values(Encoding::kQ4_1, changed.data(), n, decoded.data());
      const Matrix<double> values = decode_f64(Weight::from_matrix(std::as_const(decoded).view()));
      return layer_error(values.view(), target.view().rows_of(r, 1), h.view());
    };
    const double least = error();
    for (std::vector<float>* numbers : {&row.factors, &row.minimum_factors})
      for (float& number : *numbers) {
        const float before = number;
        for (const float factor : {0.99f, 1.01f}) {
          number = before * factor;
          EXPECT_GT(error(), least);
        }
        number = before;
      }
  }
}

TEST(RoundRows, DoNotDependOnTheNumberOfThreads) {
  for (const char* encoding : {"q3n", "q4_k"}) {
    std::vector<std::byte> one;
    std::vector<std::byte> three;
    {
      const WithThreads threads(1);
      rounding_error(with(RoundingMethod::kFeedback, encoding), 256, &one);
    }
    const WithThreads threads(3);
    rounding_error(with(RoundingMethod::kFeedback, encoding), 256, &three);
    EXPECT_EQ(one, three);
  }
}

Model rounded_model(const Model& model, const CalibrationSet& set, const QuantizeOptions& options,
                    Report& report) {
  WorkArea area;
  Passes passes;
  passes.push_back(quantize_pass(options));
  return run_passes(model, set, passes, area, report);
}

int64_t matrices_in(const Model& model, Encoding encoding) {
  int64_t count = 0;
  for_each_tensor(
      model,
      [&](const TensorPlace&, const Weight& w) { count += w.format == WeightFormat(encoding) ? 1 : 0; },
      [](const TensorPlace&, const std::vector<float>&) {});
  return count;
}

TEST(Quantize, EveryMatrixOfEveryFamilyIsRoundedAndReported) {
  const CalibrationSet set = random_calibration(4, 32);
  for (const TinyModelOptions& like : {TinyModelOptions{}, TinyModelOptions{.tied = false}, opt_like(),
                                       phi_like(), qwen3_like(), olmo2_like()}) {
    const Model model = make_tiny_model(wide(like));
    SCOPED_TRACE(fmt::format("{} {}", like.architecture, like.tied));
    for (const MatchOutput match : {MatchOutput::kLayer, MatchOutput::kModel}) {
      QuantizeOptions options = with(RoundingMethod::kFeedback);
      options.match = match;
      Report report;
      const Model rounded = rounded_model(model, set, options, report);
      const int64_t matrices = (like.design.gated ? 14 : 12) + (like.tied ? 1 : 2);
      EXPECT_EQ(matrices_in(rounded, Encoding::kQ4N), matrices);
      EXPECT_EQ(rounded.head.empty(), model.head.empty());
      EXPECT_EQ(report.of("quantization").size(), static_cast<size_t>(matrices));
      for (const Json& entry : report.of("quantization")) {
        EXPECT_GT(entry["relative_error"], 0.0) << entry["name"];
        EXPECT_LT(entry["relative_error"], 0.05) << entry["name"];
      }
      EXPECT_LT(logit_difference(model, rounded, set), 0.6);
    }
  }
}

TEST(Quantize, TellsHowManyRowsOfATableAreRounded) {
  TinyModelOptions like = wide({.tied = false});
  like.vocab = 1100;
  Model model = make_tiny_model(like);
  std::map<std::string, std::vector<int64_t>> seen;
  WorkArea area;
  Report report;
  quantize(model, random_calibration(2, 16), with(RoundingMethod::kNearest), area, report,
           [&](const std::string& step, int64_t done, int64_t total) {
             seen[step].push_back(done);
             EXPECT_EQ(total, step.starts_with("rounding") ? 1100 : 4) << step;
           });
  const std::vector<int64_t> rows = {0, 512, 1024, 1100};
  EXPECT_EQ(seen["rounding the head"], rows);
  EXPECT_EQ(seen["rounding the embedding"], rows);
}

TEST(Quantize, FeedbackKeepsOutputsCloserThanNearestCodes) {
  const CalibrationSet set = random_calibration(24, 64);
  const Model model = make_tiny_model(wide({.layers = 3}));
  const auto error = [&](RoundingMethod method) {
    Report report;
    rounded_model(model, set, with(method, "q3n"), report);
    double sum = 0.0;
    for (const Json& entry : report.of("quantization")) sum += entry["relative_error"].get<double>();
    return sum;
  };
  EXPECT_LT(error(RoundingMethod::kFeedback), 0.7 * error(RoundingMethod::kNearest));
}

TEST(Quantize, EmbeddingAndLinearsMayDifferOrStay) {
  const CalibrationSet set = random_calibration(4, 32);
  const Model model = make_tiny_model(wide());
  QuantizeOptions options = with(RoundingMethod::kWeighted, "q3n");
  options.embedding = QuantizeScheme("q8_0");
  options.ignore = {"down", "layers\\.0\\..*"};
  Report report;
  Model rounded = rounded_model(model, set, options, report);
  EXPECT_EQ(matrices_in(rounded, Encoding::kQ3N), 6);
  EXPECT_EQ(rounded.embedding.format, Encoding::kQ8_0);
  options.embedding.reset();
  options.keep_embedding = true;
  rounded = rounded_model(model, set, options, report);
  EXPECT_EQ(rounded.embedding.format, model.embedding.format);
}

TEST(Quantize, WhatHasTheFormatStaysAsItIs) {
  const CalibrationSet set = random_calibration(4, 32);
  Report report;
  const Model once = rounded_model(make_tiny_model(wide()), set, with(RoundingMethod::kNearest), report);
  const Model twice = rounded_model(once, set, with(RoundingMethod::kFeedback), report);
  const auto bytes_of = [](const Model& model) {
    std::vector<std::byte> all;
    for_each_tensor(
        model,
        [&](const TensorPlace&, const Weight& w) {
          for (const auto& part : w.parts()) all.insert(all.end(), part.begin(), part.end());
        },
        [](const TensorPlace&, const std::vector<float>&) {});
    return all;
  };
  EXPECT_EQ(bytes_of(once), bytes_of(twice));
}

TEST(Quantize, RefusesWhatDoesNotFit) {
  const CalibrationSet set = random_calibration(4, 32);
  const auto run = [&](const Model& model, const QuantizeOptions& options) {
    WorkArea area;
    Report report;
    Model changed = model;
    quantize(changed, set, options, area, report);
  };
  EXPECT_PARE_ERROR(
      run(make_tiny_model(), {}), ErrorCode::kInvalid,
      "layers.0.down cannot be q4n: the 48 stored values of a row do not divide into blocks of 32; slicing "
      "with `round_interval` 32");
  QuantizeOptions options;
  options.ignore = {".*"};
  options.keep_embedding = true;
  EXPECT_PARE_ERROR(run(make_tiny_model(wide()), options), ErrorCode::kInvalid, "leave nothing to work on");
  options.embedding = QuantizeScheme("q8_0");
  EXPECT_PARE_ERROR(validate(options), ErrorCode::kUsage, "`keep_embedding` excludes `embedding`");
}

TEST(QuantizeScheme, MixturesGiveSensitiveMatricesMoreBits) {
  const QuantizeScheme scheme("q4_k_m");
  EXPECT_EQ(scheme.encoding_of(Role::kQuery, 0, 16, 512), Encoding::kQ4_K);
  EXPECT_EQ(scheme.encoding_of(Role::kDown, 0, 16, 512), Encoding::kQ6_K);
  EXPECT_EQ(scheme.encoding_of(Role::kDown, 3, 16, 512), Encoding::kQ4_K);
  EXPECT_EQ(scheme.encoding_of(Role::kValue, 15, 16, 512), Encoding::kQ6_K);
  EXPECT_EQ(scheme.encoding_of(Role::kEmbedding, -1, 0, 512), Encoding::kQ6_K);
  EXPECT_EQ(scheme.encoding_of(Role::kQuery, 0, 16, 576), Encoding::kIQ4_NL);
  EXPECT_EQ(scheme.encoding_of(Role::kHead, -1, 0, 576), Encoding::kQ8_0);
  EXPECT_PARE_ERROR(QuantizeScheme("bf16"), ErrorCode::kUsage, "'bf16'");
}

TEST(Quantize, IsTheLastPass) {
  Passes passes;
  passes.push_back(quantize_pass({}));
  passes.push_back(quantize_pass({}));
  EXPECT_PARE_ERROR(require_order(make_tiny_model(wide()), passes), ErrorCode::kUsage,
                    "pass 1 (quantize) has to be the last");
}

}  // namespace
}  // namespace pare::test
