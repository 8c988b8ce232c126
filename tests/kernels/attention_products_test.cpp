// The products of attention on every instruction set of this machine.
#include "kernels/cpu/attention_products.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "guarded.h"
#include "isas.h"
#include "tensor/matrix.h"

namespace pare {
namespace {

using test::Guarded;
using test::isas;

struct GemmShape {
  int64_t m, n, k;
};

std::vector<GemmShape> gemm_shapes() {
  std::vector<GemmShape> shapes;
  for (int64_t m = 1; m <= 9; ++m)
    for (const int64_t n : {1, 15, 16, 17, 64, 65, 100})
      for (const int64_t k : {1, 16, 33, 64}) shapes.push_back({m, n, k});
  for (const int64_t m : {16, 17, 31, 33})  // ragged tiles
    for (const int64_t n : {1, 15, 17, 100})
      for (const int64_t k : {1, 33, 64}) shapes.push_back({m, n, k});
  for (const int64_t m : {12, 13, 63, 64, 65}) shapes.push_back({m, 200, 64});
  shapes.push_back({5, 70, 300});
  shapes.push_back({130, 40, 140});
  shapes.push_back({64, 64, 4097});
  shapes.push_back({3, 4097, 64});
  return shapes;
}

// Small integers are exact in bf16 too.
template <typename T>
class AttentionProductsOf : public testing::Test {};
using StoredTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(AttentionProductsOf, StoredTypes);

void store(float value, float& to) { to = value; }
void store(float value, bf16& to) { to = to_bf16(value); }

TYPED_TEST(AttentionProductsOf, AreExactOnIntegersOfAnyShape) {
  for (const Isa isa : isas())
    for (const auto [m, n, k] : gemm_shapes()) {
      SCOPED_TRACE(testing::Message() << isa_name(isa) << " m " << m << " n " << n << " k " << k);
      const AttentionProducts products(isa);
      Guarded a(m, k, test::kPoison);
      a.fill_integers(1, 8);
      Guarded values(n, k, test::kPoison);
      values.fill_integers(2, 8);
      // Rows lie apart: the values between them must not be used.
      const int64_t apart = 3;
      Matrix<TypeParam> bt(n, k + apart);
      Matrix<TypeParam> b(k, n + apart);
      for (Matrix<TypeParam>* x : {&bt, &b})
        for (int64_t i = 0; i < x->size(); ++i) store(std::numeric_limits<float>::quiet_NaN(), x->data()[i]);
      for (int64_t l = 0; l < k; ++l)
        for (int64_t j = 0; j < n; ++j) {
          store(values.view()(j, l), bt(j, l));
          store(values.view()(j, l), b(l, j));
        }
      Guarded nt(m, n, test::kCanary);
      products.nt(m, n, k, 0.5f, a.data(), a.view().stride, bt.data(), bt.cols(), nt.data(),
                  nt.view().stride);
      nt.expect_guards();
      Guarded nn(m, n, test::kCanary);
      nn.fill_integers(3, 8);
      Guarded before = nn;
      products.nn(m, n, k, a.data(), a.view().stride, b.data(), b.cols(), nn.data(), nn.view().stride);
      nn.expect_guards();
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          int64_t product = 0;
          for (int64_t l = 0; l < k; ++l)
            product += static_cast<int64_t>(a.view()(i, l)) * static_cast<int64_t>(values.view()(j, l));
          ASSERT_EQ(nt.view()(i, j), 0.5f * static_cast<float>(product)) << i << ", " << j;
          ASSERT_EQ(nn.view()(i, j), before.view()(i, j) + static_cast<float>(product)) << i << ", " << j;
        }
    }
}

// Every finite bf16 there is, times one.
TEST(AttentionProducts, ReadBf16Exactly) {
  std::vector<float> finite;
  for (uint32_t bits = 0; bits < 0x10000; ++bits)
    if (const float value = to_f32(bf16{static_cast<uint16_t>(bits)}); std::isfinite(value))
      finite.push_back(value);
  const auto n = static_cast<int64_t>(finite.size());
  for (const Isa isa : isas())
    for (const int64_t m : {1, 5})
      for (const int64_t k : {1, 7, 16, 40}) {
        SCOPED_TRACE(testing::Message() << isa_name(isa) << " m " << m << " k " << k);
        Matrix<float> a = Matrix<float>::zeros(m, k);
        Matrix<bf16> bt = Matrix<bf16>::zeros(n, k);
        Matrix<bf16> b = Matrix<bf16>::zeros(k, n);
        for (int64_t i = 0; i < m; ++i) a(i, k - 1) = 1.0f;
        for (int64_t j = 0; j < n; ++j) bt(j, k - 1) = b(k - 1, j) = to_bf16(finite[static_cast<size_t>(j)]);
        Matrix<float> nt(m, n);
        Matrix<float> nn = Matrix<float>::zeros(m, n);
        AttentionProducts(isa).nt(m, n, k, 1.0f, a.data(), k, bt.data(), k, nt.data(), n);
        AttentionProducts(isa).nn(m, n, k, a.data(), k, b.data(), n, nn.data(), n);
        for (int64_t i = 0; i < m; ++i)
          for (int64_t j = 0; j < n; ++j) {
            ASSERT_EQ(nt(i, j), finite[static_cast<size_t>(j)]);
            ASSERT_EQ(nn(i, j), finite[static_cast<size_t>(j)]);
          }
      }
}

}  // namespace
}  // namespace pare
