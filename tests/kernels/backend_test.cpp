// Conformance: every backend × every operation × ragged shapes, against the reference backend.
#include "kernels/backend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "backend_fixture.h"
#include "base/rng.h"
#include "guarded.h"
#include "isas.h"
#include "kernels/cpu/attention_products.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/linear_impls.h"
#include "kernels/cpu/split_linear.h"
#include "kernels/reference/reference_backend.h"
#include "support/expect_error.h"
#include "support/low_bit_weight.h"

namespace pare::test {
namespace {

TEST_F(BackendTest, MovesRowsToAndFro) {
  std::vector<const Backend*> all = {&reference_, &default_backend()};
  for (const Backend* on : all) {
    const Matrix<float> x = random_rows(5, 7, 1);
    const Activation uploaded = on->upload(x.clone());
    EXPECT_EQ(&uploaded.backend(), on);
    expect_near(copy_of(on->download(uploaded).view()), x, 0.0);
    const Activation block = uploaded.rows_of(1, 3).columns_of(2, 4);
    EXPECT_EQ(block.rows(), 3);
    EXPECT_EQ(block.cols(), 4);
    const Activation copy = on->allocate(3, 4);
    on->copy(block, copy);
    expect_near(download(copy).matrix(), copy_of(x.view().block(1, 2, 3, 4)), 0.0);
    expect_near(download(on->borrow(x.view().rows_of(2, 2))).matrix(), copy_of(x.view().rows_of(2, 2)), 0.0);
  }
}

TEST_F(BackendTest, DownloadedRowsOutliveTheActivation) {
  Activation x = default_backend().upload(random_rows(2, 3, 1));
  const HostRows rows = download(x);
  x = default_backend().upload(random_rows(2, 3, 2));
  EXPECT_EQ(rows.view()(1, 2), random_rows(2, 3, 1)(1, 2));
  // A matrix is handed over where nothing else refers to it, and copied where something does.
  Matrix<float> first = random_rows(2, 3, 3);
  const float* address = first.data();
  Activation only = default_backend().upload(std::move(first));
  const Activation other = only;
  EXPECT_NE(download(only).matrix().data(), address);
  only = {};
  EXPECT_NE(download(other).matrix().data(), address);
  Matrix<float> second = random_rows(2, 3, 3);
  address = second.data();
  EXPECT_EQ(download(default_backend().upload(std::move(second))).matrix().data(), address);
}

TEST_F(BackendTest, Linears) {
  for (const ComputeType compute : {ComputeType::kF32, ComputeType::kBF16, ComputeType::kInt8})
    for (const int64_t out : {1, 16, 33})
      for (const int64_t in : {4, 31, 130})
        for (const int64_t tokens : {1, 5, 40}) {
          SCOPED_TRACE(testing::Message() << compute_type_name(compute) << " " << out << " x " << in << ", "
                                          << tokens << " tokens");
          const Weight stack[] = {weight_of(random_rows(out, in, 3)), weight_of(random_rows(2, in, 4))};
          const Matrix<float> bias = random_rows(1, out + 2, 5);
          for (const bool has_bias : {false, true})
            compare(static_cast<double>(in + 2) * kUlp * 8, [&](const Backend& on) {
              const auto linear = on.pack_linear(
                  stack,
                  has_bias ? std::vector<float>(bias.data(), bias.data() + out + 2) : std::vector<float>{},
                  compute);
              const Activation y = on.allocate(tokens, out + 2);
              linear->apply(on.upload(random_rows(tokens, in, 6)), y);
              return download(y).matrix();
            });
        }
}

// Parts of a stack that differ in format: low-bit ones, floats, int8 with a scale a row. Many tokens of
// low-bit weights are rounded to bf16, 2^-9 of each factor.
TEST_F(BackendTest, StoredLinears) {
  const Weight stack[] = {random_blocks(Encoding::kQ4_K, 33, 512, 1), weight_of(random_rows(5, 512, 2, 0.02)),
                          random_blocks(Encoding::kQ6_K, 16, 512, 3),
                          weight_of(random_rows(7, 512, 4, 0.02), Encoding::kInt8)};
  for (const int64_t tokens : {1, 7, 40})
    compare(0x1p-8, [&](const Backend& on) {
      const auto linear = on.pack_linear(stack, std::vector<float>(61, 0.25f), ComputeType::kStored);
      const Activation y = on.allocate(tokens, 61);
      linear->apply(on.upload(random_rows(tokens, 512, 6)), y);
      return download(y).matrix();
    });
}

TEST_F(BackendTest, LinearsOnTheHost) {
  const Weight weight = weight_of(random_rows(19, 23, 3));
  for (const Backend* on : backends()) {
    const auto linear =
        on->pack_linear(std::span(&weight, 1), std::vector<float>(19, 0.5f), ComputeType::kF32);
    const Matrix<float> x = random_rows(4, 23, 6);
    const Activation y = on->allocate(4, 19);
    linear->apply(on->borrow(x.view()), y);
    Matrix<float> host(4, 19);
    linear->apply(std::as_const(x).view(), host.view());
    expect_near(host, download(y).matrix(), 0.0);
    EXPECT_GE(linear->bytes(), 19 * 4);
  }
}

TEST_F(BackendTest, ABiasThatDoesNotFitIsABug) {
  const Weight weight = weight_of(random_rows(3, 4, 3));
  EXPECT_PARE_ERROR(
      default_backend().pack_linear(std::span(&weight, 1), std::vector<float>(2), ComputeType::kF32),
      ErrorCode::kInternal, "bias");
}

// Products that steer calibration: f32, or three bf16 products where there are tiles.
TEST_F(BackendTest, ExactProducts) {
  for (const int64_t n : {5, 129, 600}) {
    Matrix<double> m(n, n);
    Rng rng(5);
    for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = rng.normal();
    compare(0x1p-14, [&](const Backend& on) {
      const Activation y = on.allocate(7, n);
      on.pack_product(std::as_const(m).view())->apply(on.upload(random_rows(7, n, 6)), y);
      return download(y).matrix();
    });
  }
}

TEST_F(BackendTest, SplitLinearIsAsExactAsTwoBf16PartsOfEachFactor) {
  const int64_t n = 70;
  const Matrix<float> values = random_rows(n, n, 5);
  Matrix<float> rests(n, n);
  for (int64_t i = 0; i < rests.size(); ++i) rests.data()[i] = bf16_rest(values.data()[i]);
  const Matrix<float> x = random_rows(9, n, 6);
  const Weight whole = Weight::from_matrix(values.view());
  const auto exact = reference_.pack_linear(std::span(&whole, 1), {}, ComputeType::kF32);
  Matrix<float> expected(9, n);
  exact->apply(x.view(), expected.view());
  for (const Isa isa : isas()) {
    const auto pack = [&](const Matrix<float>& part) {
      const Weight weight = Weight::from_matrix(part.view(), Encoding::kBF16);
      return select_linear(std::span(&weight, 1), ComputeType::kBF16, isa).pack(std::span(&weight, 1));
    };
    const SplitLinear split(pack(values), pack(rests));
    Matrix<float> y(9, n);
    split.apply(x.view(), y.view());
    expect_near(y, expected, 0x1p-15);
    // One bf16 product alone is not as exact.
    pack(values)->apply(x.view(), y.view());
    double difference = 0.0;
    for (int64_t i = 0; i < y.size(); ++i)
      difference = std::max(difference, std::abs(static_cast<double>(y.data()[i]) - expected.data()[i]));
    EXPECT_GT(difference, 0x1p-12 * largest_of(expected.view()));
  }
}

TEST_F(BackendTest, Norms) {
  for (const NormKind kind : {NormKind::kRms, NormKind::kLayer, NormKind::kNone})
    for (const int64_t width : kRaggedSizes)
      for (const bool weighted : {false, true}) {
        SCOPED_TRACE(testing::Message() << width << " values, kind " << static_cast<int>(kind));
        Norm norm;
        norm.kind = kind;
        norm.divisor = static_cast<double>(width) + 0.5;
        if (weighted) {
          const Matrix<float> weight = random_rows(2, width, 8);
          norm.weight.assign(weight.row(0), weight.row(0) + width);
          if (kind == NormKind::kLayer) norm.bias.assign(weight.row(1), weight.row(1) + width);
        }
        // Where values hardly differ, the rounding of their mean is multiplied by up to 1/sqrt(eps).
        const double of_mean = kind == NormKind::kLayer ? 4 * kUlp / std::sqrt(norm.eps) : 0.0;
        for (const bool in_place : {false, true})
          compare(static_cast<double>(width + 8) * kUlp * 4 + of_mean, [&](const Backend& on) {
            const auto packed = on.pack_norm(norm);
            const Activation x = on.upload(random_rows(35, 3 * width, 9));  // three heads
            const Activation y = in_place ? x : on.allocate(35, 3 * width);
            on.norm(*packed, x, y, width);
            return download(y).matrix();
          });
      }
}

TEST_F(BackendTest, RotaryEmbedding) {
  for (const int64_t half : {0, 1, 3, 8, 17})
    compare(kUlp * 4, [&](const Backend& on) {
      const int64_t head_dim = 2 * half + 5;  // the last five are not rotated
      Matrix<float> cos(21, half);
      Matrix<float> sin(21, half);
      for (int64_t i = 0; i < cos.size(); ++i) {
        cos.data()[i] = static_cast<float>(std::cos(0.7 * static_cast<double>(i)));
        sin.data()[i] = static_cast<float>(std::sin(0.7 * static_cast<double>(i)));
      }
      const RotaryTable table{on.upload(std::move(cos)), on.upload(std::move(sin))};
      const Activation x = on.upload(random_rows(21, 3 * head_dim, 9));
      on.rotate(table, x, head_dim);
      return download(x).matrix();
    });
}

TEST_F(BackendTest, Activations) {
  for (const ActivationFunction function : {ActivationFunction::kSilu, ActivationFunction::kRelu,
                                            ActivationFunction::kGelu, ActivationFunction::kGeluTanh})
    for (const int64_t hidden : kRaggedSizes)
      compare(kUlp * 64, [&](const Backend& on) {
        const int64_t columns = function == ActivationFunction::kSilu ? 2 * hidden : hidden;
        const Activation x = on.upload(random_rows(18, columns, 9, 3.0));
        on.activate(function, x, hidden);
        return download(x.columns_of(0, hidden)).matrix();
      });
}

TEST_F(BackendTest, Sums) {
  for (const int64_t width : kRaggedSizes)
    compare(0.0, [&](const Backend& on) {
      const Activation y = on.upload(random_rows(18, width, 9));
      on.add(on.upload(random_rows(18, width, 10)), y);
      return download(y).matrix();
    });
}

TEST_F(BackendTest, RowsOfATable) {
  const Weight table = weight_of(random_rows(9, 33, 9), Encoding::kBF16);
  compare(0.0, [&](const Backend& on) {
    const auto packed = on.pack_rows(table);
    EXPECT_EQ(packed->rows(), 9);
    EXPECT_EQ(packed->cols(), 33);
    EXPECT_EQ(packed->bytes(), 9 * 33 * 2);
    const Activation y = on.allocate(4, 33);
    const int64_t rows[] = {8, 0, 3, 3};
    on.gather(*packed, rows, y);
    return download(y).matrix();
  });
}

TEST_F(BackendTest, FindsWhatIsNotFinite) {
  for (const Backend* on : backends())
    for (const int64_t width : kRaggedSizes)
      for (const float bad : {NAN, INFINITY, -INFINITY, 1e38f}) {
        Matrix<float> x = random_rows(3, width, 9);
        x(2, width - 1) = bad;
        EXPECT_EQ(on->all_finite(on->upload(std::move(x))), std::isfinite(bad)) << width << " " << bad;
      }
}

struct Heads {
  int64_t kv_heads, group, head_dim, value_head_dim;
};

// Two sequences in one batch: `rows` tokens after `past` tokens, and one token after `rows` tokens.
class Attention : public BackendTest {
 protected:
  void check(const Heads& heads, int64_t past, int64_t rows, double deviation,
             ComputeType compute = ComputeType::kF32) {
    SCOPED_TRACE(testing::Message() << past << " + " << rows << " keys, group " << heads.group << ", dims "
                                    << heads.head_dim << " and " << heads.value_head_dim);
    const AttentionShape shape{heads.kv_heads * heads.group, heads.kv_heads, heads.head_dim,
                               heads.value_head_dim, compute};
    // Scores of a few units carry an f32 error of about 1e-6, and outputs are averages of values around 1.
    compare(1e-5 * std::max(1.0, deviation), [&](const Backend& on) {
      const auto first = on.make_kv(shape, past + rows);
      const auto second = on.make_kv(shape, rows + 1);
      const auto append = [&](std::vector<Segment> segments, uint64_t seed) {
        int64_t count = 0;
        for (const Segment& segment : segments) count += segment.rows;
        on.append(shape, segments, on.upload(random_rows(count, shape.keys_width(), seed)),
                  on.upload(random_rows(count, shape.values_width(), seed + 1)));
      };
      if (past > 0) append({{0, past, 0, first.get()}}, 20);
      append({{0, rows, 0, second.get()}}, 30);
      const std::vector<Segment> segments = {{0, rows, past, first.get()}, {rows, 1, rows, second.get()}};
      append(segments, 40);
      const Activation y = on.allocate(rows + 1, shape.context_width());
      on.attend(shape, segments, on.upload(random_rows(rows + 1, shape.queries_width(), 7, deviation)), y);
      return download(y).matrix();
    });
  }
};

TEST_F(Attention, RaggedNumbersOfKeys) {
  for (const Heads& heads : {Heads{2, 1, 16, 16}, Heads{1, 3, 10, 7}, Heads{2, 3, 8, 21}})
    for (const int64_t keys : {1, 2, 63, 64, 65, 255, 256, 257}) {
      check(heads, 0, keys, 1.0);      // a whole prompt
      check(heads, keys - 1, 1, 1.0);  // one more token
    }
}

TEST_F(Attention, PromptsThatContinue) {
  for (const int64_t past : {1, 63, 200, 256, 300})
    for (const int64_t rows : {2, 21, 65}) check({2, 3, 8, 12}, past, rows, 1.0);
}

// The largest score moves from block to block: the running maximum must be corrected.
TEST_F(Attention, LargeScores) { check({1, 2, 16, 8}, 10, 600, 12.0); }

// Fewer rows than go to bf16 tiles: only keys and values are rounded, and the reference sees them rounded
// too.
TEST_F(Attention, CacheInBf16) {
  for (const Heads& heads : {Heads{2, 1, 16, 16}, Heads{1, 3, 10, 7}, Heads{2, 3, 8, 21}})
    for (const int64_t past : {0, 1, 62, 63, 64, 255, 256, 300})
      for (const int64_t rows : {1, 2, 3, 5}) {
        ASSERT_LT(rows * heads.group, kTileQueries);
        check(heads, past, rows, 1.0, ComputeType::kBF16);
      }
}

TEST_F(Attention, MoreHeadsThanATileHolds) { check({1, 80, 4, 4}, 3, 5, 1.0); }

// Sums over tokens, in f64 on the host.
TEST_F(BackendTest, GramSums) {
  for (const int64_t tokens : {1, 63, 70, 600})
    for (const auto& widths : {std::pair<int64_t, int64_t>{5, 9}, {64, 33}, {150, 70}}) {
      const int64_t n = widths.first;
      const int64_t m = widths.second;
      SCOPED_TRACE(testing::Message() << tokens << " tokens, " << n << " x " << m);
      std::vector<double> weights;
      for (int64_t t = 0; t < tokens; ++t) weights.push_back(0.25 + static_cast<double>(t % 5));
      for (const double* w :
           {static_cast<const double*>(nullptr), static_cast<const double*>(weights.data())}) {
        const auto sums = [&](const Backend& on, bool cross) {
          Matrix<double> c = Matrix<double>::zeros(n, cross ? m : n);
          const Activation x = on.upload(random_rows(tokens, n, 1));
          if (cross)
            on.cross_accumulate(x, on.upload(random_rows(tokens, m, 2)), w, c.view());
          else
            on.gram_accumulate(x, w, c.view());
          Matrix<float> result(c.rows(), c.cols());
          for (int64_t r = 0; r < c.rows(); ++r)
            for (int64_t q = 0; q < c.cols(); ++q)
              result(r, q) = !cross && q > r ? 0.0f : static_cast<float>(c(r, q));
          return result;
        };
        for (const bool cross : {false, true})
          compare(0x1p-15, [&](const Backend& on) { return sums(on, cross); });
      }
      compare(0x1p-14, [&](const Backend& on) {
        Matrix<double> h = Matrix<double>::identity(n);
        for (int64_t i = 1; i < n; ++i) h(i, i - 1) = h(i - 1, i) = 0.3;
        Matrix<float> total(1, 1);
        total(0, 0) = static_cast<float>(
            on.gram_inner_product(on.upload(random_rows(tokens, n, 1)), std::as_const(h).view()));
        return total;
      });
    }
}

// AVX2 widens bf16 to f32, which gains nothing.
TEST_F(BackendTest, CalibratesInBf16WhereThatIsMultiplied) {
  for (const Isa isa : isas())
    EXPECT_EQ(CpuBackend(isa).calibration_compute(),
              isa >= Isa::kAvx512 ? ComputeType::kBF16 : ComputeType::kF32)
        << isa_name(isa);
  EXPECT_EQ(backend_named("reference").calibration_compute(), ComputeType::kF32);
}

TEST_F(BackendTest, IsFoundByItsName) {
  EXPECT_EQ(&backend_named("cpu"), &default_backend());
  EXPECT_EQ(default_backend().detail(), isa_name(active_isa()));
  EXPECT_EQ(backend_named("reference").detail(), "f64");
  EXPECT_PARE_ERROR(backend_named("cuda:7"), ErrorCode::kUsage, "no device \"cuda:7\"");
}

}  // namespace
}  // namespace pare::test
