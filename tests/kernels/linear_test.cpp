// Every way to run a linear on this machine, against the reference.
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <set>

#include "guarded.h"
#include "kernels/backend.h"
#include "kernels/cpu/linear_impls.h"

namespace pare {
namespace {

using test::Guarded;

// Implementations that run any weight. The others have tests of their own (stored_linear_test.cpp).
std::vector<LinearImpl> any_weight_impls() {
  std::vector<LinearImpl> result;
  for (const LinearImpl& impl : linear_impls())
    if (impl.compute != ComputeType::kStored) result.push_back(impl);
  return result;
}

ComputeType compute_type(const LinearImpl& impl) {
  for (const ComputeType type : {ComputeType::kF32, ComputeType::kBF16})
    if (impl.accepts({k2of4, type})) return type;  // dense kernels take it too
  return ComputeType::kInt8;
}

// Pattern that the weights of a test must follow: the kernels of 2:4 run nothing else.
Pattern pattern_of(const LinearImpl& impl) {
  return impl.accepts({kDense, compute_type(impl)}) ? kDense : k2of4;
}

// Returns whether group `g` may keep a column of its four: all places of two, one and none come in turn.
bool kept(int64_t g, int64_t column) {
  constexpr unsigned kMasks[] = {0x3, 0x5, 0x9, 0x6, 0xa, 0xc, 0x1, 0x2, 0x4, 0x8, 0x0};
  return (kMasks[g % 11] >> column & 1u) != 0;
}
void keep_two_of_four(Guarded& w) {
  const auto view = w.view();
  for (int64_t r = 0; r < view.rows; ++r)
    for (int64_t c = 0; c < view.cols; ++c)
      if (!kept(7 * r + c / 4, c % 4)) view(r, c) = 0.0f;
}
void fit(Guarded& w, Pattern pattern) {
  if (pattern == k2of4) keep_two_of_four(w);
}

// Whole numbers with one 127 a row, so that eight bits hold them exactly (a row that 2:4 leaves nothing of is
// zeros).
void fill_weights(Guarded& w, uint64_t seed, Pattern pattern) {
  w.fill_integers(seed, 8);
  fit(w, pattern);
  const auto view = w.view();
  for (int64_t r = 0; r < view.rows; ++r)
    for (int64_t i = 0; i < view.cols; ++i) {
      const int64_t c = (r + i) % view.cols;
      if (pattern == k2of4 && !kept(7 * r + c / 4, c % 4)) continue;
      view(r, c) = 127.0f;
      break;
    }
}

std::unique_ptr<PackedLinear> pack_specification(const Weight& weight, ComputeType compute) {
  for (const LinearImpl& impl : any_weight_impls())
    if (impl.needs == Isa::kReference && impl.accepts({weight.format.pattern, compute}))
      return impl.pack(std::span(&weight, 1));
  ADD_FAILURE() << "no reference";
  return nullptr;
}

struct Shape {
  int64_t out;
  int64_t in;
};

std::vector<Shape> ragged_shapes() {
  std::vector<Shape> shapes;
  const int64_t sizes[] = {1, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65};
  for (const int64_t out : sizes)
    for (const int64_t in : sizes) shapes.push_back({out, in});
  shapes.push_back({4097, 33});
  shapes.push_back({37, 4097});
  shapes.push_back({300, 1100});
  return shapes;
}

// Token counts around every tile size of the kernels: 1..9, 14, 16, 28, 32, 64.
std::vector<int64_t> token_counts(const Shape& shape) {
  if (shape.out * shape.in > 100000) return {1, 4, 8, 15, 33};
  if (shape.out == 17 || shape.in == 65) {
    std::vector<int64_t> all;
    for (int64_t t = 1; t <= 70; ++t) all.push_back(t);
    return all;
  }
  return {1, 2, 5, 9, 16, 17, 31, 70};
}

// Runs the packed linear between canaries and returns its output.
Matrix<float> apply_guarded(const PackedLinear& linear, Guarded& x) {
  Guarded y(x.view().rows, linear.out_features(), test::kCanary);
  linear.apply(x.view(), y.view());
  y.expect_guards();
  Matrix<float> result(y.view().rows, y.view().cols);
  for (int64_t r = 0; r < result.rows(); ++r) std::copy_n(y.view().row(r), result.cols(), result.row(r));
  return result;
}

void expect_same_bits(const Matrix<float>& a, const Matrix<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(float)), 0);
}

// x · wᵀ in f64.
Matrix<float> product(Guarded& x, Guarded& w) {
  const int64_t in = x.view().cols;
  Matrix<float> y(x.view().rows, w.view().rows);
  for (int64_t t = 0; t < y.rows(); ++t)
    for (int64_t o = 0; o < y.cols(); ++o) {
      const float* a = x.view().row(t);
      const float* b = w.view().row(o);
      double sum = 0.0;
      for (int64_t k = 0; k < in; ++k) sum += static_cast<double>(a[k]) * static_cast<double>(b[k]);
      y(t, o) = static_cast<float>(sum);
    }
  return y;
}

// Integers small enough that every sum is exact: a wrong, missing or doubled term cannot hide.
TEST(Linear, EveryImplementationIsExactOnIntegers) {
  const test::ThreadCount scope(1);  // thousands of tiny products: starting a second thread costs more
  std::set<std::pair<Isa, bool>> covered;
  for (const Shape shape : ragged_shapes()) {
    const std::vector<int64_t> counts = token_counts(shape);
    for (const Pattern pattern : {kDense, k2of4}) {
      Guarded w(shape.out, shape.in, test::kPoison);
      fill_weights(w, 7, pattern);
      const Weight weight = Weight::from_matrix(MatrixView<const float>(w.view()));
      Guarded all_tokens(counts.back(), shape.in, test::kPoison);
      all_tokens.fill_integers(8, 8);
      const Matrix<float> expected = product(all_tokens, w);
      for (const LinearImpl& impl : any_weight_impls()) {
        if (impl.needs > detected_isa() || pattern_of(impl) != pattern) continue;
        covered.emplace(impl.needs, pattern.dense());
        const auto packed = impl.pack(std::span(&weight, 1));
        EXPECT_EQ(packed->kernel(), impl.name);
        EXPECT_GT(packed->bytes(), 0);
        for (const int64_t tokens : counts) {
          SCOPED_TRACE(testing::Message()
                       << impl.name << " out " << shape.out << " in " << shape.in << " tokens " << tokens);
          Guarded x(tokens, shape.in, test::kPoison);
          x.fill_integers(8, 8);  // the first rows of all_tokens
          const Matrix<float> y = apply_guarded(*packed, x);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t o = 0; o < shape.out; ++o)
              ASSERT_EQ(y(t, o), expected(t, o)) << "token " << t << " output " << o;
        }
      }
    }
  }
  for (const Isa isa : {Isa::kReference, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    EXPECT_EQ(covered.count({isa, true}) == 1, isa <= detected_isa())
        << "this machine has " << isa_name(detected_isa());
    // The reference runs every pattern as it is.
    EXPECT_EQ(covered.count({isa, false}) == 1, isa != Isa::kReference && isa <= detected_isa())
        << "2:4 on " << isa_name(isa);
  }
}

// Few tokens of 8-bit weights are multiplied as 16-bit numbers with AVX-512: a unit of at most 2^-14 of the
// largest, of which half is lost at most.
double fixed_point_tolerance(const LinearImpl& impl, const float* x, int64_t n, double norm_w) {
  if (impl.kernels != &kPanelAvx512Int8) return 0.0;
  double largest = 0.0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(static_cast<double>(x[i])));
  return 0x1p-15 * largest * std::sqrt(static_cast<double>(n)) * norm_w;
}

TEST(Linear, EveryImplementationRoundsLikeTheReference) {
  for (const LinearImpl& impl : any_weight_impls()) {
    if (impl.needs > detected_isa()) continue;
    for (const Shape shape : {Shape{65, 300}, Shape{33, 4097}, Shape{4097, 65}}) {
      Guarded w(shape.out, shape.in, test::kPoison);
      w.fill_normal(1);
      fit(w, pattern_of(impl));
      const Weight weight = Weight::from_matrix(MatrixView<const float>(w.view()));
      const auto packed = impl.pack(std::span(&weight, 1));
      const auto reference = pack_specification(weight, compute_type(impl));
      std::vector<double> norms;
      for (int64_t o = 0; o < shape.out; ++o) norms.push_back(test::norm(w.view().row(o), shape.in));
      for (const int64_t tokens : {1, 3, 7, 8, 19, 40}) {
        SCOPED_TRACE(testing::Message()
                     << impl.name << " out " << shape.out << " in " << shape.in << " tokens " << tokens);
        Guarded x(tokens, shape.in, test::kPoison);
        x.fill_normal(2);
        const Matrix<float> y = apply_guarded(*packed, x);
        const Matrix<float> expected = apply_guarded(*reference, x);
        for (int64_t t = 0; t < tokens; ++t) {
          const float* row = x.view().row(t);
          const double norm_x = test::norm(row, shape.in);
          const double step = fixed_point_tolerance(impl, row, shape.in, 1.0);
          for (int64_t o = 0; o < shape.out; ++o) {
            const double norm_w = norms[static_cast<size_t>(o)];
            ASSERT_NEAR(y(t, o), expected(t, o),
                        test::dot_tolerance(norm_x, norm_w, shape.in) + step * norm_w)
                << "token " << t << " output " << o;
          }
        }
      }
    }
  }
}

TEST(Linear, ThreadsDoNotChangeResults) {
  for (const LinearImpl& impl : any_weight_impls()) {
    if (impl.needs > detected_isa()) continue;
    Guarded w(1037, 555, test::kPoison);
    w.fill_normal(3);
    fit(w, pattern_of(impl));
    const Weight weight = Weight::from_matrix(MatrixView<const float>(w.view()));
    const auto packed = impl.pack(std::span(&weight, 1));
    for (const int64_t tokens : {1, 6, 31, 600}) {
      SCOPED_TRACE(testing::Message() << impl.name << " tokens " << tokens);
      if (impl.needs == Isa::kReference && tokens > 31) continue;
      Guarded x(tokens, 555, test::kPoison);
      x.fill_normal(4);
      const auto run_with = [&](int threads) {
        const test::ThreadCount scope(threads);
        return apply_guarded(*packed, x);
      };
      expect_same_bits(run_with(1), run_with(2));
    }
  }
}

// Weights on top of each other give the outputs that each gives alone.
TEST(Linear, StacksWeights) {
  constexpr int64_t kIn = 70;
  for (const LinearImpl& impl : any_weight_impls()) {
    if (impl.needs > detected_isa()) continue;
    std::vector<Weight> stack;
    for (const int64_t rows : {5, 40, 19}) {
      Guarded w(rows, kIn, test::kPoison);
      w.fill_normal(static_cast<uint64_t>(rows));
      fit(w, pattern_of(impl));
      stack.push_back(Weight::from_matrix(MatrixView<const float>(w.view())));
    }
    const auto packed = impl.pack(stack);
    ASSERT_EQ(packed->out_features(), 64);
    for (const int64_t tokens : {1, 23}) {
      SCOPED_TRACE(testing::Message() << impl.name << " tokens " << tokens);
      Guarded x(tokens, kIn, test::kPoison);
      x.fill_normal(9);
      const Matrix<float> all = apply_guarded(*packed, x);
      int64_t first = 0;
      for (const Weight& weight : stack) {
        const Matrix<float> alone = apply_guarded(*impl.pack(std::span(&weight, 1)), x);
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t o = 0; o < weight.rows; ++o) ASSERT_EQ(all(t, first + o), alone(t, o));
        first += weight.rows;
      }
    }
  }
}

// A token has the same bits alone and in a batch. It differs by rounding through tile products, and where
// many tokens take a widened panel of another kernel.
TEST(Linear, ATokenDoesNotDependOnItsBatch) {
  for (const LinearImpl& impl : any_weight_impls()) {
    if (impl.needs > detected_isa()) continue;
    SCOPED_TRACE(impl.name);
    constexpr int64_t kIn = 777;
    constexpr int64_t kTokens = 45;
    Guarded w(70, kIn, test::kPoison);
    w.fill_normal(5);
    fit(w, pattern_of(impl));
    Guarded x(kTokens, kIn, test::kPoison);
    x.fill_normal(6);
    const Weight weight = Weight::from_matrix(MatrixView<const float>(w.view()));
    const auto packed = impl.pack(std::span(&weight, 1));
    const Matrix<float> batch = apply_guarded(*packed, x);
    for (const int64_t t : {0, 13, 14, 44}) {
      Guarded one(1, kIn, test::kPoison);
      std::copy_n(x.view().row(t), kIn, one.data());
      const Matrix<float> alone = apply_guarded(*packed, one);
      for (int64_t o = 0; o < 70; ++o) {
        const bool widens = impl.kernels != nullptr && impl.kernels->wide == &kPanelAvx512Bf16;
        const double norm_w = test::norm(w.view().row(o), kIn);
        const double tolerance = impl.needs == Isa::kAmx || widens
                                     ? 2 * test::dot_tolerance(test::norm(one.data(), kIn), norm_w, kIn) +
                                           fixed_point_tolerance(impl, one.data(), kIn, norm_w)
                                     : 0.0;
        ASSERT_NEAR(alone(0, o), batch(t, o), tolerance) << "token " << t << " output " << o;
      }
    }
  }
}

// A NaN or an infinity in a token shows in its outputs, and in those of no other token.
TEST(Linear, WhatIsNotFiniteStaysVisible) {
  for (const LinearImpl& impl : any_weight_impls()) {
    if (impl.needs > detected_isa()) continue;
    constexpr int64_t kIn = 300;
    Guarded w(70, kIn, test::kPoison);
    w.fill_normal(5);
    fit(w, pattern_of(impl));
    const Weight weight = Weight::from_matrix(MatrixView<const float>(w.view()));
    const auto packed = impl.pack(std::span(&weight, 1));
    for (const float bad : {NAN, INFINITY, -INFINITY})
      for (const int64_t tokens : {1, 3, 8, 9, 40})
        for (const int64_t column : {0, 5, 256, 299}) {
          SCOPED_TRACE(testing::Message()
                       << impl.name << " " << bad << " " << tokens << " tokens, column " << column);
          Guarded x(tokens, kIn, test::kPoison);
          x.fill_normal(6);
          x.view()(tokens - 1, column) = bad;
          const Matrix<float> y = apply_guarded(*packed, x);
          for (int64_t t = 0; t < tokens; ++t)
            EXPECT_EQ(std::all_of(y.row(t), y.row(t) + 70, [](float v) { return std::isfinite(v); }),
                      t + 1 < tokens);
        }
  }
}

// bf16 products: weights and activations are rounded to nearest even before they are multiplied.
TEST(Linear, Bf16RoundsBothOperandsToNearestEven) {
  for (const LinearImpl& impl : any_weight_impls()) {
    if (impl.needs > detected_isa() || compute_type(impl) != ComputeType::kBF16) continue;
    SCOPED_TRACE(impl.name);
    // 1 + 2^-8 is halfway between 1 and 1 + 2^-7: even is 1. 1 + 3·2^-8 is halfway too: even is 1 + 2^-6.
    const float halves[] = {1.0f + 0x1p-8f, 1.0f + 3 * 0x1p-8f};
    const Weight weight = Weight::from_matrix(MatrixView<const float>{halves, 2, 1, 1});
    const auto packed = impl.pack(std::span(&weight, 1));
    for (const int64_t tokens : {1, 20}) {
      Guarded x(tokens, 1, test::kPoison);
      for (int64_t t = 0; t < tokens; ++t) x.view()(t, 0) = halves[t % 2];
      const Matrix<float> y = apply_guarded(*packed, x);
      for (int64_t t = 0; t < tokens; ++t) {
        const float rounded = t % 2 == 0 ? 1.0f : 1.0f + 0x1p-6f;
        EXPECT_EQ(y(t, 0), rounded);
        EXPECT_EQ(y(t, 1), rounded * (1.0f + 0x1p-6f));
      }
    }
  }
}

// Every encoding a weight may have; scales of one, so that values are integers and sums exact.
TEST(Linear, PacksEveryEncoding) {
  constexpr int64_t kRows = 19;
  constexpr int64_t kCols = 96;
  Rng rng(11);
  const std::vector<float> ones(kRows * kCols / 32, 1.0f);
  for (const Encoding encoding : {Encoding::kF32, Encoding::kF16, Encoding::kBF16, Encoding::kQ8_0,
                                  Encoding::kQ4_0, Encoding::kQ4_1, Encoding::kInt4}) {
    Weight weight;
    if (is_float(encoding)) {
      Guarded w(kRows, kCols, test::kPoison);
      fill_weights(w, 12, kDense);
      weight = Weight::from_matrix(MatrixView<const float>(w.view()), encoding);
    } else {
      const EncodingInfo& info = encoding_info(encoding);
      auto bytes =
          std::make_shared<std::vector<std::byte>>(static_cast<size_t>(kRows * row_bytes(encoding, kCols)));
      for (std::byte& b : *bytes) b = static_cast<std::byte>(rng.below(256));
      constexpr uint16_t kOne = 0x3c00;  // f16
      for (size_t i = 0; is_block_encoding(encoding) && i < bytes->size();
           i += static_cast<size_t>(info.block_bytes)) {
        std::memcpy(bytes->data() + i, &kOne, 2);
        if (encoding == Encoding::kQ4_1) std::memcpy(bytes->data() + i + 2, &kOne, 2);
      }
      weight = {encoding, kRows, kCols, bytes->data(), bytes};
      if (is_code(encoding)) {
        weight.format.group = 32;
        weight.scales = reinterpret_cast<const std::byte*>(ones.data());
      }
    }
    const Matrix<float> values = decode(weight);
    for (const LinearImpl& impl : any_weight_impls()) {
      if (impl.needs > detected_isa() || pattern_of(impl) != kDense) continue;
      SCOPED_TRACE(testing::Message() << impl.name << " " << encoding_info(encoding).name);
      const auto packed = impl.pack(std::span(&weight, 1));
      Guarded x(7, kCols, test::kPoison);
      x.fill_integers(13, 8);
      const Matrix<float> y = apply_guarded(*packed, x);
      for (int64_t t = 0; t < 7; ++t)
        for (int64_t o = 0; o < kRows; ++o) {
          double expected = 0.0;
          double inputs = 0.0;
          float largest = 0.0f;
          for (int64_t k = 0; k < kCols; ++k) {
            expected += static_cast<double>(x.view()(t, k)) * static_cast<double>(values(o, k));
            inputs += std::fabs(x.view()(t, k));
            largest = std::max(largest, std::fabs(values(o, k)));
          }
          // Eight bits with a scale a row are off by half a step of largest / 127 a value.
          const bool exact = compute_type(impl) != ComputeType::kInt8 || is_float(encoding);
          ASSERT_NEAR(y(t, o), expected, exact ? 0.0 : inputs * largest / 254.0)
              << "token " << t << " output " << o;
        }
    }
  }
}

// Calibrated int8 weights run as they are: their codes, 127 among them or not, and their scales.
TEST(Linear, KeepsTheCodesOfInt8Weights) {
  constexpr int64_t kRows = 19;
  constexpr int64_t kCols = 72;
  Rng rng(17);
  std::vector<int8_t> codes(kRows * kCols);
  std::vector<float> scales(kRows);
  for (int64_t r = 0; r < kRows; ++r) {
    scales[static_cast<size_t>(r)] = static_cast<float>(0.01 + rng.uniform());
    for (int64_t c = 0; c < kCols; ++c)
      if (kept(7 * r + c / 4, c % 4))
        codes[static_cast<size_t>(r * kCols + c)] =
            static_cast<int8_t>(r == 3 ? -128 : static_cast<int64_t>(rng.below(41)) - 20);
  }
  Weight weight{Encoding::kInt8, kRows, kCols, reinterpret_cast<const std::byte*>(codes.data()), nullptr};
  weight.scales = reinterpret_cast<const std::byte*>(scales.data());
  for (const LinearImpl& impl : any_weight_impls()) {
    if (impl.needs > detected_isa() || compute_type(impl) != ComputeType::kInt8) continue;
    const auto packed = impl.pack(std::span(&weight, 1));
    // A token that is 1 in one column takes that column out: the code times the scale, rounded once.
    for (const int64_t tokens : {int64_t{1}, kCols}) {
      SCOPED_TRACE(testing::Message() << impl.name << " tokens " << tokens);
      for (int64_t first = 0; first < kCols; first += tokens) {
        Guarded x(tokens, kCols, test::kPoison);
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t c = 0; c < kCols; ++c) x.view()(t, c) = c == first + t ? 1.0f : 0.0f;
        const Matrix<float> y = apply_guarded(*packed, x);
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t r = 0; r < kRows; ++r)
            ASSERT_EQ(y(t, r), static_cast<float>(codes[static_cast<size_t>(r * kCols + first + t)]) *
                                   scales[static_cast<size_t>(r)])
                << "row " << r << " column " << first + t;
      }
    }
  }
}

// Every way two of four places may be filled, in every group of a block, gives what the zeros give.
TEST(Linear, KeepsEveryPlaceOfAGroup) {
  constexpr int64_t kCols = 64;  // two blocks
  for (const LinearImpl& impl : any_weight_impls()) {
    if (impl.needs > detected_isa() || pattern_of(impl) != k2of4) continue;
    for (int64_t group = 0; group < kCols / 4; ++group)
      for (unsigned mask = 0; mask < 16; ++mask) {
        if (std::popcount(mask) > 2) continue;
        SCOPED_TRACE(testing::Message() << impl.name << " group " << group << " mask " << mask);
        Guarded w(16, kCols, test::kPoison);
        for (int64_t r = 0; r < 16; ++r) {
          std::fill_n(w.view().row(r), kCols, 0.0f);
          for (int64_t c = 0; c < 4; ++c)
            if ((mask >> c & 1u) != 0) w.view()(r, 4 * group + c) = 127.0f;
        }
        const Weight weight = Weight::from_matrix(MatrixView<const float>(w.view()));
        const auto packed = impl.pack(std::span(&weight, 1));
        for (const int64_t tokens : {1, 9}) {
          Guarded x(tokens, kCols, test::kPoison);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t c = 0; c < kCols; ++c) x.view()(t, c) = static_cast<float>((5 * c + t) % 61 + 1);
          const Matrix<float> y = apply_guarded(*packed, x);
          const Matrix<float> expected = product(x, w);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t o = 0; o < 16; ++o) ASSERT_EQ(y(t, o), expected(t, o));
        }
      }
  }
}

std::string_view kernel_of(std::span<const Weight> stack, ComputeType compute) {
  return pack_linear(stack, compute)->kernel();
}

TEST(Linear, RunsTwoOfFourWhereTheValuesAllowIt) {
  if (active_isa() == Isa::kReference) GTEST_SKIP() << "no 2:4 kernel below AVX2";
  for (const ComputeType compute : {ComputeType::kBF16, ComputeType::kInt8}) {
    const std::string_view sparse_kernel = select_linear({k2of4, compute}, active_isa()).name;
    const std::string_view dense_kernel = select_linear({kDense, compute}, active_isa()).name;
    ASSERT_NE(sparse_kernel, dense_kernel);
    Guarded w(40, 71, test::kPoison);  // the last group has three columns
    fill_weights(w, 20, k2of4);
    const auto weight = [&] { return Weight::from_matrix(MatrixView<const float>(w.view())); };
    const Weight sparse = weight();
    EXPECT_EQ(kernel_of(std::span(&sparse, 1), compute), sparse_kernel);
    // Three values in the very last group.
    for (int64_t c = 68; c < 71; ++c) w.view()(39, c) = 1.0f;
    const Weight dense = weight();
    EXPECT_EQ(kernel_of(std::span(&dense, 1), compute), dense_kernel);
    const std::vector<Weight> both_sparse = {sparse, sparse};
    EXPECT_EQ(kernel_of(both_sparse, compute), sparse_kernel);
    const std::vector<Weight> one_dense = {sparse, dense};
    EXPECT_EQ(kernel_of(one_dense, compute), dense_kernel);
  }
  Guarded w(4, 8, test::kPoison);
  fill_weights(w, 21, k2of4);
  const Weight sparse = Weight::from_matrix(MatrixView<const float>(w.view()));
  EXPECT_EQ(kernel_of(std::span(&sparse, 1), ComputeType::kF32),
            select_linear({kDense, ComputeType::kF32}, active_isa()).name);
}

// 2 values of 16 bits and 4 bits of places for 4 of 16; 8 bits: 2 · 8 + 4 for 4 · 8.
TEST(Linear, TwoOfFourIsAsSmallAsItsBits) {
  if (active_isa() == Isa::kReference) GTEST_SKIP() << "no 2:4 kernel below AVX2";
  const Matrix<float> zeros = Matrix<float>::zeros(512, 1024);
  Matrix<float> ones(512, 1024);
  std::fill_n(ones.data(), ones.size(), 1.0f);
  const Weight sparse = Weight::from_matrix(zeros.view());
  const Weight dense = Weight::from_matrix(std::as_const(ones).view());
  EXPECT_EQ(16 * pack_linear(sparse, ComputeType::kBF16)->bytes(),
            9 * pack_linear(dense, ComputeType::kBF16)->bytes());
  constexpr int64_t kScales = 512 * 4;
  EXPECT_EQ(8 * (pack_linear(sparse, ComputeType::kInt8)->bytes() - kScales),
            5 * (pack_linear(dense, ComputeType::kInt8)->bytes() - kScales));
}

}  // namespace
}  // namespace pare
