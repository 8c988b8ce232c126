// Linears that compute from low-bit weights as they are stored: every format on every instruction set,
// against the reference.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "guarded.h"
#include "isas.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/linear_impls.h"
#include "support/low_bit_weight.h"
#include "tensor/code_rows.h"

namespace pare::test {
namespace {

constexpr ComputeType kStored = ComputeType::kStored;

std::vector<LinearImpl> stored_impls() {
  std::vector<LinearImpl> result;
  for (const LinearImpl& impl : linear_impls())
    if (impl.compute == kStored && impl.needs <= detected_isa() && impl.needs != Isa::kReference)
      result.push_back(impl);
  return result;
}

std::unique_ptr<HostLinear> pack_one(const LinearImpl& impl, const Weight& weight) {
  return impl.pack(std::span(&weight, 1));
}

std::unique_ptr<HostLinear> pack_reference(const Weight& weight) {
  return select_linear({kDense, kStored}, Isa::kReference).pack(std::span(&weight, 1));
}

Matrix<float> apply_guarded(const PackedLinear& linear, Guarded& x) {
  Guarded y(x.view().rows, linear.out_features(), kCanary);
  linear.apply(x.view(), y.view());
  y.expect_guards();
  return copy_of(MatrixView<const float>(y.view()));
}

// Length of a row whose values are the magnitudes of what is added up in a value: level times scale, minimum.
double magnitude(const Weight& weight, int64_t r) {
  const CodeFormat format = *code_format(weight);
  RowCodes row;
  const float factor = take_codes(std::span(&weight, 1), r, row);
  double sum = 0.0;
  for (size_t k = 0; k < row.codes.size(); ++k) {
    const size_t part = k / static_cast<size_t>(format.shape.part);
    const size_t of_part = format.shape.form == ScaleForm::kHalf    ? part
                           : format.shape.form == ScaleForm::kSuper ? k / kSuperColumns
                                                                    : 0;
    const double level = format.shape.bits == 8 ? row.codes[k] - 128 : format.levels[row.codes[k]];
    double value = std::abs(static_cast<double>(row.factors[of_part]) * row.scales[part] * level);
    if (format.shape.minima)
      value += std::abs(static_cast<double>(row.minimum_factors[of_part]) * row.minima[part]);
    sum += value * value;
  }
  return std::abs(static_cast<double>(factor)) * std::sqrt(sum);
}

std::vector<double> magnitudes(const Weight& weight) {
  std::vector<double> result;
  for (int64_t r = 0; r < weight.rows; ++r) result.push_back(magnitude(weight, r));
  return result;
}

// A token's inputs, as bounds of errors need them.
struct Inputs {
  Inputs(const float* x, int64_t count) : n(count), length(norm(x, count)) {
    for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(static_cast<double>(x[i])));
  }
  int64_t n;
  double length;
  double largest = 0.0;
};

// Bound of the error of an output, of a row with this magnitude. Few tokens are rounded to whole numbers of
// at most 2^-13 of the largest value, of which half is lost; scales of int4 and int8 become f16; many tokens
// of AVX-512 take bf16.
double tolerance(const LinearImpl& impl, Encoding encoding, double weights, const Inputs& x, bool many) {
  double error = dot_tolerance(x.length, weights, 2 * x.n) + 0x1p-22 * x.length * weights;
  if (is_code(encoding)) error += 0x1p-11 * x.length * weights;
  if (many && impl.needs >= Isa::kAvx512) return error + 0x1p-8 * x.length * weights;
  return error + 0x1p-14 * x.largest * std::sqrt(static_cast<double>(x.n)) * weights;
}

struct Shape {
  int64_t rows;
  int64_t columns;
};

// Rows of the last are so long that many tokens take them in three passes.
std::vector<Shape> shapes() {
  std::vector<Shape> shapes;
  for (const int64_t rows : {1, 16, 19, 70})
    for (const int64_t columns : {96, 288, 1056}) shapes.push_back({rows, columns});
  shapes.push_back({19, 2 * kL2Columns + 288});
  return shapes;
}

TEST(StoredLinear, EveryFormatRunsLikeTheReference) {
  const ThreadCount scope(1);
  for (const Shape& shape : shapes())
    for (const Weight& weight :
         low_bit_weights(shape.rows, shape.columns, static_cast<uint64_t>(shape.rows + shape.columns))) {
      const auto reference = pack_reference(weight);
      const std::vector<double> lengths = magnitudes(weight);
      const std::vector<LinearImpl> impls = stored_impls();
      std::vector<std::unique_ptr<HostLinear>> packed;
      for (const LinearImpl& impl : impls) packed.push_back(pack_one(impl, weight));
      for (const int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 9, 40}) {
        Guarded x(tokens, weight.cols, kPoison);
        x.fill_normal(2);
        const Matrix<float> expected = apply_guarded(*reference, x);
        std::vector<Inputs> inputs;
        for (int64_t t = 0; t < tokens; ++t) inputs.emplace_back(x.view().row(t), weight.cols);
        for (size_t i = 0; i < impls.size(); ++i) {
          SCOPED_TRACE(testing::Message() << impls[i].name << " " << format_name(weight.format) << " out "
                                          << shape.rows << " in " << weight.cols << " tokens " << tokens);
          const Matrix<float> y = apply_guarded(*packed[i], x);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t o = 0; o < shape.rows; ++o)
              ASSERT_NEAR(y(t, o), expected(t, o),
                          tolerance(impls[i], weight.format.encoding, lengths[static_cast<size_t>(o)],
                                    inputs[static_cast<size_t>(t)], tokens > 4))
                  << "token " << t << " output " << o;
        }
      }
    }
}

// Inputs of one column take it out: its value, but for the rounding of scales and sums.
TEST(StoredLinear, EveryColumnHasItsPlace) {
  for (const Weight& weight : low_bit_weights(17, 96, 3)) {
    const Matrix<float> values = decode(weight);
    const std::vector<double> lengths = magnitudes(weight);
    for (const LinearImpl& impl : stored_impls()) {
      const auto packed = pack_one(impl, weight);
      for (const int64_t tokens : {int64_t{1}, int64_t{8}, weight.cols}) {
        SCOPED_TRACE(testing::Message() << impl.name << " " << format_name(weight.format) << " " << tokens);
        for (int64_t first = 0; first < weight.cols; first += tokens) {
          Guarded x(tokens, weight.cols, kPoison);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t c = 0; c < weight.cols; ++c) x.view()(t, c) = c == first + t ? 1.0f : 0.0f;
          const Matrix<float> y = apply_guarded(*packed, x);
          for (int64_t t = 0; t < tokens && first + t < weight.cols; ++t)
            for (int64_t r = 0; r < 17; ++r) {
              // No less than 2^-8 of what is added up in a value of the row.
              const double bound = 0x1p-8 * lengths[static_cast<size_t>(r)] + 1e-30;
              ASSERT_NEAR(y(t, r), values(r, first + t), bound) << "row " << r << " column " << first + t;
            }
        }
      }
    }
  }
}

TEST(StoredLinear, ThreadsDoNotChangeResults) {
  for (const Weight& weight : low_bit_weights(1037, 320, 5))
    for (const LinearImpl& impl : stored_impls()) {
      const auto packed = pack_one(impl, weight);
      for (const int64_t tokens : {1, 6, 31}) {
        Guarded x(tokens, weight.cols, kPoison);
        x.fill_normal(4);
        const auto run_with = [&](int threads) {
          const ThreadCount scope(threads);
          return apply_guarded(*packed, x);
        };
        const Matrix<float> one = run_with(1);
        const Matrix<float> two = run_with(2);
        EXPECT_EQ(std::memcmp(one.data(), two.data(), static_cast<size_t>(one.size()) * sizeof(float)), 0)
            << impl.name << " " << format_name(weight.format) << " " << tokens;
      }
    }
}

TEST(StoredLinear, ATokenOfAFewHasTheBitsThatItHasAlone) {
  for (const Weight& weight : low_bit_weights(70, 320, 6))
    for (const LinearImpl& impl : stored_impls()) {
      const auto packed = pack_one(impl, weight);
      for (const int64_t tokens : {2, 3, 4, 5, 6, 7, 8}) {
        if (tokens > impl.kernels->gemv_tokens) continue;
        Guarded x(tokens, weight.cols, kPoison);
        x.fill_normal(6);
        const Matrix<float> batch = apply_guarded(*packed, x);
        for (int64_t t = 0; t < tokens; ++t) {
          Guarded one(1, weight.cols, kPoison);
          std::copy_n(x.view().row(t), weight.cols, one.data());
          const Matrix<float> alone = apply_guarded(*packed, one);
          for (int64_t o = 0; o < 70; ++o) ASSERT_EQ(alone(0, o), batch(t, o)) << impl.name << " " << tokens;
        }
      }
    }
}

TEST(StoredLinear, WhatIsNotFiniteStaysVisible) {
  for (const Weight& weight : low_bit_weights(70, 320, 7))
    for (const LinearImpl& impl : stored_impls()) {
      const auto packed = pack_one(impl, weight);
      for (const float bad : {NAN, INFINITY, -INFINITY})
        for (const int64_t tokens : {1, 3, 8, 9})
          for (const int64_t column : {0, 5, 256, 319}) {
            SCOPED_TRACE(testing::Message() << impl.name << " " << format_name(weight.format) << " " << bad
                                            << " " << tokens << " tokens, column " << column);
            Guarded x(tokens, weight.cols, kPoison);
            x.fill_normal(6);
            x.view()(tokens - 1, column) = bad;
            const Matrix<float> y = apply_guarded(*packed, x);
            for (int64_t t = 0; t < tokens; ++t)
              EXPECT_EQ(std::all_of(y.row(t), y.row(t) + 70, [](float v) { return std::isfinite(v); }),
                        t + 1 < tokens);
          }
    }
}

// Packed weights are at most 5 % larger than stored ones, and the factors of rows. Scales and minima of Q2_K,
// which have four bits in a file, get bytes, and those of MXFP4 two.
TEST(StoredLinear, TakesTheBytesOfTheFile) {
  for (const Weight& weight : low_bit_weights(64, 1024, 8)) {
    if (weight.format.group == 0 && is_code(weight.format.encoding)) continue;
    if (weight.format.group > 32) continue;
    for (const LinearImpl& impl : stored_impls()) {
      const int64_t bytes = pack_one(impl, weight)->bytes() - 64 * static_cast<int64_t>(sizeof(float));
      const Encoding encoding = weight.format.encoding;
      const int64_t percent = encoding == Encoding::kQ2_K ? 120 : encoding == Encoding::kMXFP4 ? 106 : 105;
      EXPECT_LE(100 * bytes, percent * weight.bytes()) << impl.name << " " << format_name(weight.format);
    }
  }
}

// Weights of one input that no kernel runs together are parts of one linear, each as it is alone.
TEST(StoredLinear, StacksOfSeveralFormatsRun) {
  constexpr int64_t kIn = 512;
  Guarded values(21, kIn, kPoison);
  values.fill_normal(3);
  const std::vector<Weight> stack = {
      random_blocks(Encoding::kQ4_K, 40, kIn, 1), random_blocks(Encoding::kQ4_K, 19, kIn, 2),
      random_blocks(Encoding::kQ6_K, 35, kIn, 3),
      Weight::from_matrix(MatrixView<const float>(values.view()), Encoding::kBF16),
      Weight::from_matrix(MatrixView<const float>(values.view()), Encoding::kInt8)};
  for (const Isa isa : isas()) {
    const CpuBackend on(isa);
    const auto whole = on.pack_linear(stack, {}, kStored);
    ASSERT_EQ(whole->out_features(), 40 + 19 + 35 + 21 + 21);
    for (const int64_t tokens : {1, 12}) {
      Guarded x(tokens, kIn, kPoison);
      x.fill_normal(9);
      const Matrix<float> all = apply_guarded(*whole, x);
      int64_t first = 0;
      int64_t bytes = 0;
      for (const Weight& weight : stack) {
        const auto alone = on.pack_linear(std::span(&weight, 1), {}, kStored);
        const Matrix<float> y = apply_guarded(*alone, x);
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t o = 0; o < weight.rows; ++o) ASSERT_EQ(all(t, first + o), y(t, o)) << first + o;
        first += weight.rows;
        bytes += alone->bytes();
      }
      // The first two weights share panels.
      EXPECT_LE(whole->bytes(), bytes);
    }
  }
}

TEST(StoredLinear, ABiasIsAddedToAllParts) {
  const std::vector<Weight> stack = {random_blocks(Encoding::kQ4_0, 5, 64, 1),
                                     random_blocks(Encoding::kQ8_0, 6, 64, 2)};
  for (const Isa isa : isas()) {
    const CpuBackend on(isa);
    Guarded x(2, 64, kPoison);
    x.fill_normal(9);
    const Matrix<float> plain = apply_guarded(*on.pack_linear(stack, {}, kStored), x);
    const Matrix<float> biased =
        apply_guarded(*on.pack_linear(stack, std::vector<float>(11, 0.5f), kStored), x);
    for (int64_t i = 0; i < plain.size(); ++i) EXPECT_EQ(biased.data()[i], plain.data()[i] + 0.5f);
  }
}

}  // namespace
}  // namespace pare::test
