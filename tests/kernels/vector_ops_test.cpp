// Every table of vector operations that this machine can run, against the reference table.
#include "kernels/cpu/vector_ops.h"

#include <gtest/gtest.h>

#include <limits>
#include <numbers>
#include <set>

#include "guarded.h"
#include "isas.h"

namespace pare {
namespace {

using test::Guarded;
using test::isas;

constexpr int64_t kSizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 576, 4097};
constexpr double kEps = 0x1p-24;

// Calls test(ops, n) for each table and size.
template <typename Test>
void for_each(Test test) {
  for (const Isa isa : isas())
    for (const int64_t n : kSizes) {
      SCOPED_TRACE(testing::Message() << isa_name(isa) << " n " << n);
      test(vector_ops(isa), n);
    }
}

const VectorOps& reference() { return vector_ops(Isa::kReference); }

TEST(VectorOps, EveryInstructionSetHasItsOwnTable) {
  std::set<const VectorOps*> tables;
  for (const Isa isa : isas()) {
    const bool is_new = tables.insert(&vector_ops(isa)).second;
    EXPECT_EQ(is_new, isa != Isa::kAmx) << isa_name(isa);  // AMX has no vector operations of its own
  }
  EXPECT_EQ(&vector_ops(), &vector_ops(active_isa()));
}

TEST(VectorOps, Dot) {
  for_each([](const VectorOps& ops, int64_t n) {
    Guarded a(1, n, test::kPoison);
    Guarded b(1, n, test::kPoison);
    a.fill_normal(1);
    b.fill_normal(2);
    EXPECT_NEAR(ops.dot(a.data(), b.data(), n), reference().dot(a.data(), b.data(), n),
                test::dot_tolerance(test::norm(a.data(), n), test::norm(b.data(), n), n));
    a.fill_integers(3, 30);
    b.fill_integers(4, 30);
    EXPECT_EQ(ops.dot(a.data(), b.data(), n), reference().dot(a.data(), b.data(), n));
  });
}

// Two roundings of terms no larger than |alpha x| + |y|.
TEST(VectorOps, AxpyAddScale) {
  for_each([](const VectorOps& ops, int64_t n) {
    Guarded x(1, n, test::kPoison);
    x.fill_normal(1);
    Guarded y(1, n, test::kCanary);
    y.fill_normal(2);
    Guarded z(1, n, test::kCanary);
    z.fill_normal(2);
    ops.axpy(0.7f, x.data(), y.data(), n);
    for (int64_t i = 0; i < n; ++i) {
      const double a = 0.7f * static_cast<double>(x.data()[i]);
      const double b = z.data()[i];
      ASSERT_NEAR(y.data()[i], a + b, 2 * kEps * (std::abs(a) + std::abs(b)));
    }
    ops.add(x.data(), z.data(), n);
    Guarded expected(1, n, test::kCanary);
    expected.fill_normal(2);
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(z.data()[i], expected.data()[i] + x.data()[i]);
    ops.scale(-1.5f, z.data(), n);
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(z.data()[i], -1.5f * (expected.data()[i] + x.data()[i]));
    y.expect_guards();
    z.expect_guards();
  });
}

TEST(VectorOps, RmsNorm) {
  for_each([](const VectorOps& ops, int64_t n) {
    Guarded x(1, n, test::kPoison);
    x.fill_normal(1);
    Guarded weight(1, n, test::kPoison);
    weight.fill_normal(2);
    const float divisor = static_cast<float>(n) * 1.25f;
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i)
      sum += static_cast<double>(x.data()[i]) * static_cast<double>(x.data()[i]);
    const double factor = 1.0 / std::sqrt(sum / static_cast<double>(divisor) + static_cast<double>(1e-5f));
    // The sum of squares has n + 1 roundings, halved by the square root; then six operations.
    const double tolerance = kEps * (0.5 * static_cast<double>(n + 1) + 6);
    for (const bool weighted : {true, false}) {
      Guarded out(1, n, test::kCanary);
      ops.rms_norm(x.data(), weighted ? weight.data() : nullptr, divisor, 1e-5f, out.data(), n);
      for (int64_t i = 0; i < n; ++i) {
        const double expected =
            x.data()[i] * factor * (weighted ? static_cast<double>(weight.data()[i]) : 1.0);
        ASSERT_NEAR(out.data()[i], expected, tolerance * std::abs(expected));
      }
      out.expect_guards();
    }
    Guarded in_place(1, n, test::kCanary);
    in_place.fill_normal(1);
    ops.rms_norm(in_place.data(), nullptr, divisor, 1e-5f, in_place.data(), n);
    in_place.expect_guards();
    EXPECT_NEAR(in_place.data()[n - 1], x.data()[n - 1] * factor,
                tolerance * std::abs(x.data()[n - 1] * factor));
  });
}

// The mean has n roundings of terms that add up to Σ|x|; what is left is as for RmsNorm, with one more
// rounding of the difference and one of the sum with the bias.
TEST(VectorOps, LayerNorm) {
  for_each([](const VectorOps& ops, int64_t n) {
    Guarded x(1, n, test::kPoison);
    x.fill_normal(1);
    for (int64_t i = 0; i < n; ++i) x.data()[i] += 0.5f;  // a mean that matters
    Guarded weight(1, n, test::kPoison);
    weight.fill_normal(2);
    Guarded bias(1, n, test::kPoison);
    bias.fill_normal(3);
    const float divisor = static_cast<float>(n) * 1.25f;
    double mean = 0.0;
    double magnitude = 0.0;
    for (int64_t i = 0; i < n; ++i) {
      mean += static_cast<double>(x.data()[i]) / static_cast<double>(n);
      magnitude += std::abs(static_cast<double>(x.data()[i])) / static_cast<double>(n);
    }
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i) {
      const double d = static_cast<double>(x.data()[i]) - mean;
      sum += d * d;
    }
    constexpr float kNormEps = 1e-3f;
    const double variance = sum / static_cast<double>(divisor) + static_cast<double>(kNormEps);
    const double factor = 1.0 / std::sqrt(variance);
    // A mean that is off by e adds n·e² to the sum of squares, whose cross term is 0.
    const double off = kEps * static_cast<double>(n + 1) * magnitude;
    const double relative = kEps * (0.5 * static_cast<double>(n + 2) + 7) + 0.5 * off * off / variance;
    for (const bool plain : {false, true}) {
      Guarded out(1, n, test::kCanary);
      ops.layer_norm(x.data(), plain ? nullptr : weight.data(), plain ? nullptr : bias.data(), divisor,
                     kNormEps, out.data(), n);
      for (int64_t i = 0; i < n; ++i) {
        const double w = plain ? 1.0 : static_cast<double>(weight.data()[i]);
        const double b = plain ? 0.0 : static_cast<double>(bias.data()[i]);
        const double scaled = (x.data()[i] - mean) * factor * w;
        const double tolerance = relative * std::abs(scaled) + off * factor * std::abs(w) +
                                 kEps * (std::abs(scaled) + std::abs(b));
        ASSERT_NEAR(out.data()[i], scaled + b, tolerance);
      }
      out.expect_guards();
    }
    Guarded in_place(1, n, test::kCanary);
    std::copy_n(x.data(), n, in_place.data());
    ops.layer_norm(in_place.data(), nullptr, nullptr, divisor, kNormEps, in_place.data(), n);
    in_place.expect_guards();
    const double last = (x.data()[n - 1] - mean) * factor;
    EXPECT_NEAR(in_place.data()[n - 1], last, (relative + kEps) * std::abs(last) + off * factor);
  });
}

TEST(VectorOps, Relu) {
  for_each([](const VectorOps& ops, int64_t n) {
    Guarded x(1, n, test::kCanary);
    x.fill_normal(1);
    Guarded before = x;
    ops.relu(x.data(), n);
    x.expect_guards();
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(x.data()[i], std::max(before.data()[i], 0.0f));
  });
}

// erf within 8·2^-24 gives half of that times |x|, then three roundings of no more than |x|.
TEST(VectorOps, Gelu) {
  for_each([](const VectorOps& ops, int64_t n) {
    Guarded x(1, n, test::kCanary);
    x.fill_normal(1);
    for (int64_t i = 0; i < n; ++i) x.data()[i] *= 2.5f;
    Guarded before = x;
    ops.gelu(x.data(), n);
    x.expect_guards();
    for (int64_t i = 0; i < n; ++i) {
      const double v = before.data()[i];
      ASSERT_NEAR(x.data()[i], 0.5 * v * std::erfc(-v / std::sqrt(2.0)), 7 * kEps * std::abs(v)) << v;
    }
  });
}

// x/(1 + e^w), w = −√(8/π)·(x + 0.044715·x³): w has four roundings, which move the sigmoid s by s·(1 −
// s)·|dw|; then exp within 2 ulp (4·2^-24) and two operations.
TEST(VectorOps, GeluTanh) {
  for_each([](const VectorOps& ops, int64_t n) {
    Guarded x(1, n, test::kCanary);
    x.fill_normal(1);
    for (int64_t i = 0; i < n; ++i) x.data()[i] *= 2.5f;
    Guarded before = x;
    ops.gelu_tanh(x.data(), n);
    x.expect_guards();
    for (int64_t i = 0; i < n; ++i) {
      const double v = before.data()[i];
      const double w = -std::sqrt(8.0 / std::numbers::pi) * (v + 0.044715 * v * v * v);
      const double s = 1.0 / (1.0 + std::exp(w));
      const double tolerance = kEps * std::abs(v) * s * ((1.0 - s) * 5 * std::abs(w) + 7);
      // The result of f32 may be a subnormal, or 0 where exp is held at its largest.
      ASSERT_NEAR(x.data()[i], v * s, tolerance + 1e-36) << v;
    }
  });
}

TEST(VectorOps, GeluOverItsRange) {
  std::vector<float> x;
  for (double v = -12.0; v < 12.0; v += 0.00137) x.push_back(static_cast<float>(v));
  for (const float v : {-1e30f, -1000.0f, -0.0f, 1000.0f, 1e30f}) x.push_back(v);
  for (const Isa isa : isas()) {
    SCOPED_TRACE(isa_name(isa));
    std::vector<float> y = x;
    vector_ops(isa).gelu(y.data(), static_cast<int64_t>(y.size()));
    std::vector<float> z = x;
    vector_ops(isa).gelu_tanh(z.data(), static_cast<int64_t>(z.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      const double v = x[i];
      ASSERT_NEAR(y[i], 0.5 * v * std::erfc(-v / std::sqrt(2.0)), 7 * kEps * std::abs(v)) << v;
      if (std::abs(v) > 20.0) {
        ASSERT_NEAR(z[i], std::max(v, 0.0), 1e-6) << v;
      }
    }
  }
}

TEST(VectorOps, ActivationsKeepNaN) {
  for (const Isa isa : isas()) {
    SCOPED_TRACE(isa_name(isa));
    const VectorOps& ops = vector_ops(isa);
    for (const auto activate : {ops.relu, ops.gelu, ops.gelu_tanh}) {
      float x[] = {1.0f, std::numeric_limits<float>::quiet_NaN()};
      activate(x, 2);
      EXPECT_TRUE(std::isnan(x[1]));
      EXPECT_NEAR(x[0], 0.9f, 0.11f);
    }
  }
}

TEST(VectorOps, SiluMul) {
  for_each([](const VectorOps& ops, int64_t n) {
    Guarded gate(1, n, test::kCanary);
    gate.fill_normal(1);
    for (int64_t i = 0; i < n; ++i) gate.data()[i] *= 10.0f;
    Guarded expected = gate;
    Guarded up(1, n, test::kPoison);
    up.fill_normal(2);
    ops.silu_mul(gate.data(), up.data(), n);
    gate.expect_guards();
    reference().silu_mul(expected.data(), up.data(), n);
    // exp within 2 ulp (4 · 2^-24), then four operations.
    for (int64_t i = 0; i < n; ++i)
      ASSERT_NEAR(gate.data()[i], expected.data()[i], 9 * kEps * std::abs(expected.data()[i]));
  });
}

TEST(VectorOps, SiluSaturates) {
  for (const Isa isa : isas()) {
    SCOPED_TRACE(isa_name(isa));
    float gate[] = {200.0f, -200.0f, 0.0f};
    const float up[] = {3.0f, 3.0f, 3.0f};
    vector_ops(isa).silu_mul(gate, up, 3);
    EXPECT_EQ(gate[0], 600.0f);
    EXPECT_NEAR(gate[1], 0.0f, 1e-30f);
    EXPECT_EQ(gate[2], 0.0f);
  }
}

TEST(VectorOps, Rope) {
  for_each([](const VectorOps& ops, int64_t half) {
    Guarded x(1, 2 * half, test::kCanary);
    x.fill_normal(1);
    Guarded before = x;
    Guarded cosine(1, half, test::kPoison);
    Guarded sine(1, half, test::kPoison);
    for (int64_t i = 0; i < half; ++i) {
      cosine.data()[i] = std::cos(static_cast<float>(i));
      sine.data()[i] = std::sin(static_cast<float>(i));
    }
    ops.rope(x.data(), cosine.data(), sine.data(), half);
    x.expect_guards();
    for (int64_t i = 0; i < half; ++i) {
      const double a = before.data()[i];
      const double b = before.data()[i + half];
      const double c = cosine.data()[i];
      const double s = sine.data()[i];
      const double tolerance = 3 * kEps * (std::abs(a) + std::abs(b));
      ASSERT_NEAR(x.data()[i], a * c - b * s, tolerance);
      ASSERT_NEAR(x.data()[i + half], b * c + a * s, tolerance);
    }
  });
}

TEST(VectorOps, Max) {
  for_each([](const VectorOps& ops, int64_t n) {
    Guarded x(1, n, std::bit_cast<uint32_t>(1e30f));
    x.fill_normal(1);
    for (const int64_t where : {int64_t{0}, n / 2, n - 1}) {
      x.fill_normal(1);
      for (int64_t i = 0; i < n; ++i) x.data()[i] -= 100.0f;
      x.data()[where] = -50.0f;
      ASSERT_EQ(ops.max(x.data(), n), -50.0f) << where;
    }
  });
}

TEST(VectorOps, ExpSum) {
  for_each([](const VectorOps& ops, int64_t n) {
    Guarded x(1, n, test::kCanary);
    x.fill_normal(1);
    for (int64_t i = 0; i < n; ++i) x.data()[i] = x.data()[i] * 5.0f;
    Guarded before = x;
    const float shift = 3.25f;
    const double sum = ops.exp_sum(x.data(), shift, n);
    x.expect_guards();
    double expected = 0.0;
    for (int64_t i = 0; i < n; ++i) expected += static_cast<double>(x.data()[i]);
    EXPECT_NEAR(sum, expected, static_cast<double>(n) * kEps * expected);
    for (int64_t i = 0; i < n; ++i) {
      const double exact = std::exp(static_cast<double>(before.data()[i] - shift));
      ASSERT_NEAR(x.data()[i], exact, 4 * kEps * exact) << before.data()[i];
    }
  });
}

TEST(VectorOps, ExpWithinTwoUlpOverItsRange) {
  for (const Isa isa : isas()) {
    SCOPED_TRACE(isa_name(isa));
    std::vector<float> x;
    for (double v = -103.9; v < 88.7; v += 0.00137) x.push_back(static_cast<float>(v));
    const std::vector<float> before = x;
    vector_ops(isa).exp_sum(x.data(), 0.0f, static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = std::exp(static_cast<double>(before[i]));
      const double ulp = std::max(exact * 0x1p-23, 0x1p-149);
      ASSERT_NEAR(x[i], exact, 2 * ulp) << before[i];
    }
  }
}

TEST(VectorOps, ExpOfSpecialValues) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const Isa isa : isas()) {
    SCOPED_TRACE(isa_name(isa));
    float x[] = {-kInf, 0.0f, -1000.0f};
    EXPECT_EQ(vector_ops(isa).exp_sum(x, 0.0f, 3), 1.0f);
    EXPECT_EQ(x[0], 0.0f);
    EXPECT_EQ(x[1], 1.0f);
    EXPECT_EQ(x[2], 0.0f);
    float large[] = {kInf};
    EXPECT_EQ(vector_ops(isa).exp_sum(large, 0.0f, 1), kInf);
    float nan[] = {std::numeric_limits<float>::quiet_NaN()};
    EXPECT_TRUE(std::isnan(vector_ops(isa).exp_sum(nan, 0.0f, 1)));
  }
}

}  // namespace
}  // namespace pare
