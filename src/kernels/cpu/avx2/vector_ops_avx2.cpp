// Vector operations with AVX2: whole vectors, then one masked one. Masked stores are slow on some processors:
// none is made of a whole vector.
#include <immintrin.h>

#include "kernels/cpu/avx2/attention_gemm_avx2.h"
#include "kernels/cpu/avx2/lanes.h"
#include "kernels/cpu/vector_ops_tables.h"

namespace pare {
namespace {

// All eight lanes of a vector.
struct Whole {
  __m256 load(const float* at) const { return _mm256_loadu_ps(at); }
  void store(float* at, __m256 v) const { _mm256_storeu_ps(at, v); }
  // Returns v, and `other` in the lanes that are left out.
  __m256 select(__m256 v, __m256 /*other*/) const { return v; }
};

// The first n lanes of a vector; loads make the others zero.
struct First {
  explicit First(int64_t n) : mask(first_lanes(n)) {}
  __m256 load(const float* at) const { return _mm256_maskload_ps(at, mask); }
  void store(float* at, __m256 v) const { _mm256_maskstore_ps(at, mask, v); }
  __m256 select(__m256 v, __m256 other) const {
    return _mm256_blendv_ps(other, v, _mm256_castsi256_ps(mask));
  }

  __m256i mask;
};

// Calls body(i, lanes) for 8 elements at a time.
template <typename Body>
inline void for_vectors(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) body(i, Whole());
  if (i < n) body(i, First(n - i));
}

inline float horizontal_sum(__m256 v) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

float dot(const float* a, const float* b, int64_t n) {
  __m256 acc[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
  int64_t i = 0;
  for (; i + 32 <= n; i += 32)
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      acc[j] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8 * j), _mm256_loadu_ps(b + i + 8 * j), acc[j]);
  for_vectors(n - i, [&](int64_t j, auto lanes) {
    acc[0] = _mm256_fmadd_ps(lanes.load(a + i + j), lanes.load(b + i + j), acc[0]);
  });
  return horizontal_sum(_mm256_add_ps(_mm256_add_ps(acc[0], acc[1]), _mm256_add_ps(acc[2], acc[3])));
}

void axpy(float alpha, const float* x, float* y, int64_t n) {
  const __m256 a = _mm256_set1_ps(alpha);
  for_vectors(n, [&](int64_t i, auto lanes) {
    lanes.store(y + i, _mm256_fmadd_ps(a, lanes.load(x + i), lanes.load(y + i)));
  });
}

void add(const float* x, float* y, int64_t n) {
  for_vectors(n, [&](int64_t i, auto lanes) {
    lanes.store(y + i, _mm256_add_ps(lanes.load(x + i), lanes.load(y + i)));
  });
}

void rms_norm(const float* x, const float* weight, float divisor, float eps, float* out, int64_t n) {
  const float mean = dot(x, x, n) / divisor + eps;
  const __m256 factor = _mm256_div_ps(_mm256_set1_ps(1.0f), _mm256_sqrt_ps(_mm256_set1_ps(mean)));
  for_vectors(n, [&](int64_t i, auto lanes) {
    __m256 v = _mm256_mul_ps(lanes.load(x + i), factor);
    if (weight != nullptr) v = _mm256_mul_ps(v, lanes.load(weight + i));
    lanes.store(out + i, v);
  });
}

void layer_norm(const float* x, const float* weight, const float* bias, float divisor, float eps, float* out,
                int64_t n) {
  __m256 sums = _mm256_setzero_ps();
  for_vectors(n, [&](int64_t i, auto lanes) { sums = _mm256_add_ps(sums, lanes.load(x + i)); });
  const __m256 mean = _mm256_set1_ps(horizontal_sum(sums) / static_cast<float>(n));
  __m256 squares = _mm256_setzero_ps();
  for_vectors(n, [&](int64_t i, auto lanes) {
    const __m256 d = lanes.select(_mm256_sub_ps(lanes.load(x + i), mean), _mm256_setzero_ps());
    squares = _mm256_fmadd_ps(d, d, squares);
  });
  const float variance = horizontal_sum(squares) / divisor + eps;
  const __m256 factor = _mm256_div_ps(_mm256_set1_ps(1.0f), _mm256_sqrt_ps(_mm256_set1_ps(variance)));
  for_vectors(n, [&](int64_t i, auto lanes) {
    __m256 v = _mm256_mul_ps(_mm256_sub_ps(lanes.load(x + i), mean), factor);
    if (weight != nullptr) v = _mm256_mul_ps(v, lanes.load(weight + i));
    if (bias != nullptr) v = _mm256_add_ps(v, lanes.load(bias + i));
    lanes.store(out + i, v);
  });
}

inline __m256 power_of_two(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

// exp(x) = 2^n · exp(r), |r| <= ln2 / 2 (Cephes expf); 2^n in two factors so that tiny results do not wrap.
inline __m256 exp_ps(__m256 x) {
  // max(bound, x) keeps a NaN x: the instruction returns its second operand then.
  x = _mm256_max_ps(_mm256_set1_ps(-110.0f), x);
  x = _mm256_min_ps(_mm256_set1_ps(90.0f), x);
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504088896341f)), 0x08);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
  __m256 p = _mm256_set1_ps(1.9875691500e-4f);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
  p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  return _mm256_mul_ps(_mm256_mul_ps(p, power_of_two(half)), power_of_two(_mm256_sub_epi32(whole, half)));
}

// erf(z) = z·P(z²)/Q(z²) where |z| is at most this, ±1 in f32 beyond: P and Q of degree 5 by least squares,
// within 2.1e-8.
constexpr float kErfEnd = 3.95f;

inline __m256 erf_ps(__m256 z) {
  const __m256 u = _mm256_mul_ps(z, z);
  __m256 p = _mm256_set1_ps(2.024512789e-06f);
  p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(2.858150106e-04f));
  p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(3.841327810e-03f));
  p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(5.297405219e-02f));
  p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(1.922728158e-01f));
  p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(1.128379078e+00f));
  __m256 q = _mm256_set1_ps(3.787816309e-05f);
  q = _mm256_fmadd_ps(q, u, _mm256_set1_ps(1.179592552e-03f));
  q = _mm256_fmadd_ps(q, u, _mm256_set1_ps(1.511929294e-02f));
  q = _mm256_fmadd_ps(q, u, _mm256_set1_ps(1.148617572e-01f));
  q = _mm256_fmadd_ps(q, u, _mm256_set1_ps(5.037294759e-01f));
  q = _mm256_fmadd_ps(q, u, _mm256_set1_ps(1.0f));
  return _mm256_mul_ps(z, _mm256_div_ps(p, q));
}

// max(0, x) keeps a NaN x: the instruction returns its second operand then.
inline __m256 relu_ps(__m256 x) { return _mm256_max_ps(_mm256_setzero_ps(), x); }

void relu(float* x, int64_t n) {
  for_vectors(n, [&](int64_t i, auto lanes) { lanes.store(x + i, relu_ps(lanes.load(x + i))); });
}

void gelu(float* x, int64_t n) {
  const __m256 half = _mm256_set1_ps(0.5f);
  for_vectors(n, [&](int64_t i, auto lanes) {
    const __m256 v = lanes.load(x + i);
    const __m256 z = _mm256_mul_ps(v, _mm256_set1_ps(0.707106781186547524f));
    const __m256 h = _mm256_mul_ps(half, v);
    const __m256 inside = _mm256_fmadd_ps(h, erf_ps(z), h);
    const __m256 far =
        _mm256_cmp_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), z), _mm256_set1_ps(kErfEnd), _CMP_GT_OQ);
    lanes.store(x + i, _mm256_blendv_ps(inside, relu_ps(v), far));
  });
}

// x·(1 + tanh(u))/2 = x/(1 + exp(−2u))
void gelu_tanh(float* x, int64_t n) {
  const __m256 one = _mm256_set1_ps(1.0f);
  for_vectors(n, [&](int64_t i, auto lanes) {
    const __m256 v = lanes.load(x + i);
    const __m256 cubic = _mm256_fmadd_ps(_mm256_mul_ps(v, v), _mm256_set1_ps(0.044715f), one);
    const __m256 e = exp_ps(_mm256_mul_ps(_mm256_mul_ps(v, cubic), _mm256_set1_ps(-1.59576912160573071f)));
    lanes.store(x + i, _mm256_div_ps(v, _mm256_add_ps(one, e)));
  });
}

void silu_mul(float* gate, const float* up, int64_t n) {
  const __m256 one = _mm256_set1_ps(1.0f);
  for_vectors(n, [&](int64_t i, auto lanes) {
    const __m256 g = lanes.load(gate + i);
    const __m256 e = exp_ps(_mm256_sub_ps(_mm256_setzero_ps(), g));
    lanes.store(gate + i, _mm256_mul_ps(_mm256_div_ps(g, _mm256_add_ps(one, e)), lanes.load(up + i)));
  });
}

void rope(float* x, const float* cos, const float* sin, int64_t half) {
  for_vectors(half, [&](int64_t i, auto lanes) {
    const __m256 a = lanes.load(x + i);
    const __m256 b = lanes.load(x + half + i);
    const __m256 c = lanes.load(cos + i);
    const __m256 s = lanes.load(sin + i);
    lanes.store(x + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
    lanes.store(x + half + i, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
  });
}

float max(const float* x, int64_t n) {
  __m256 best = _mm256_set1_ps(x[0]);
  for_vectors(n, [&](int64_t i, auto lanes) {
    const __m256 v = lanes.select(lanes.load(x + i), best);
    best = _mm256_max_ps(best, v);
  });
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(best), _mm256_extractf128_ps(best, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

float exp_sum(float* x, float shift, int64_t n) {
  const __m256 s = _mm256_set1_ps(shift);
  __m256 sum = _mm256_setzero_ps();
  for_vectors(n, [&](int64_t i, auto lanes) {
    const __m256 e = exp_ps(_mm256_sub_ps(lanes.load(x + i), s));
    lanes.store(x + i, e);
    sum = _mm256_add_ps(sum, lanes.select(e, _mm256_setzero_ps()));
  });
  return horizontal_sum(sum);
}

void scale(float alpha, float* x, int64_t n) {
  const __m256 a = _mm256_set1_ps(alpha);
  for_vectors(n, [&](int64_t i, auto lanes) { lanes.store(x + i, _mm256_mul_ps(a, lanes.load(x + i))); });
}

}  // namespace

const VectorOps kVectorOpsAvx2 = {dot,
                                  axpy,
                                  add,
                                  rms_norm,
                                  layer_norm,
                                  relu,
                                  gelu,
                                  gelu_tanh,
                                  silu_mul,
                                  rope,
                                  max,
                                  exp_sum,
                                  scale,
                                  attention_nt_avx2,
                                  attention_nt_bf16_avx2,
                                  attention_nn_avx2,
                                  attention_nn_bf16_avx2};

}  // namespace pare
