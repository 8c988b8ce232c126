// Vector operations with AVX-512: whole vectors, then one masked one.
#include <immintrin.h>

#include "kernels/cpu/avx512/attention_gemm_avx512.h"
#include "kernels/cpu/vector_ops_tables.h"

namespace pare {
namespace {

inline __mmask16 tail_mask(int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }

// Calls body(i, mask) for 16 elements at a time.
template <typename Body>
inline void for_vectors(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) body(i, static_cast<__mmask16>(0xffff));
  if (i < n) body(i, tail_mask(n - i));
}

float dot(const float* a, const float* b, int64_t n) {
  __m512 acc[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
  int64_t i = 0;
  for (; i + 64 <= n; i += 64)
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      acc[j] = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16 * j), _mm512_loadu_ps(b + i + 16 * j), acc[j]);
  for_vectors(n - i, [&](int64_t j, __mmask16 m) {
    acc[0] =
        _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, a + i + j), _mm512_maskz_loadu_ps(m, b + i + j), acc[0]);
  });
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(acc[0], acc[1]), _mm512_add_ps(acc[2], acc[3])));
}

void axpy(float alpha, const float* x, float* y, int64_t n) {
  const __m512 a = _mm512_set1_ps(alpha);
  for_vectors(n, [&](int64_t i, __mmask16 m) {
    const __m512 sum = _mm512_fmadd_ps(a, _mm512_maskz_loadu_ps(m, x + i), _mm512_maskz_loadu_ps(m, y + i));
    _mm512_mask_storeu_ps(y + i, m, sum);
  });
}

void add(const float* x, float* y, int64_t n) {
  for_vectors(n, [&](int64_t i, __mmask16 m) {
    const __m512 sum = _mm512_add_ps(_mm512_maskz_loadu_ps(m, x + i), _mm512_maskz_loadu_ps(m, y + i));
    _mm512_mask_storeu_ps(y + i, m, sum);
  });
}

void rms_norm(const float* x, const float* weight, float divisor, float eps, float* out, int64_t n) {
  const float mean = dot(x, x, n) / divisor + eps;
  const __m512 factor = _mm512_div_ps(_mm512_set1_ps(1.0f), _mm512_sqrt_ps(_mm512_set1_ps(mean)));
  for_vectors(n, [&](int64_t i, __mmask16 m) {
    __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(m, x + i), factor);
    if (weight != nullptr) v = _mm512_mul_ps(v, _mm512_maskz_loadu_ps(m, weight + i));
    _mm512_mask_storeu_ps(out + i, m, v);
  });
}

void layer_norm(const float* x, const float* weight, const float* bias, float divisor, float eps, float* out,
                int64_t n) {
  __m512 sums = _mm512_setzero_ps();
  for_vectors(n,
              [&](int64_t i, __mmask16 m) { sums = _mm512_add_ps(sums, _mm512_maskz_loadu_ps(m, x + i)); });
  const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sums) / static_cast<float>(n));
  __m512 squares = _mm512_setzero_ps();
  for_vectors(n, [&](int64_t i, __mmask16 m) {
    const __m512 d = _mm512_maskz_sub_ps(m, _mm512_maskz_loadu_ps(m, x + i), mean);
    squares = _mm512_fmadd_ps(d, d, squares);
  });
  const float variance = _mm512_reduce_add_ps(squares) / divisor + eps;
  const __m512 factor = _mm512_div_ps(_mm512_set1_ps(1.0f), _mm512_sqrt_ps(_mm512_set1_ps(variance)));
  for_vectors(n, [&](int64_t i, __mmask16 m) {
    __m512 v = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(m, x + i), mean), factor);
    if (weight != nullptr) v = _mm512_mul_ps(v, _mm512_maskz_loadu_ps(m, weight + i));
    if (bias != nullptr) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(m, bias + i));
    _mm512_mask_storeu_ps(out + i, m, v);
  });
}

// exp(x) = 2^n · exp(r), |r| <= ln2 / 2, by a degree-6 Taylor-like minimax polynomial (Cephes expf).
inline __m512 exp_ps(__m512 x) {
  // max(bound, x) keeps a NaN x: the instruction returns its second operand then.
  x = _mm512_max_ps(_mm512_set1_ps(-110.0f), x);
  x = _mm512_min_ps(_mm512_set1_ps(90.0f), x);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f)), 0x08);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
  return _mm512_scalef_ps(p, n);
}

// erf(z) = z·P(z²)/Q(z²) where |z| is at most this, ±1 in f32 beyond: P and Q of degree 5 by least squares,
// within 2.1e-8.
constexpr float kErfEnd = 3.95f;

inline __m512 erf_ps(__m512 z) {
  const __m512 u = _mm512_mul_ps(z, z);
  __m512 p = _mm512_set1_ps(2.024512789e-06f);
  p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(2.858150106e-04f));
  p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(3.841327810e-03f));
  p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(5.297405219e-02f));
  p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(1.922728158e-01f));
  p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(1.128379078e+00f));
  __m512 q = _mm512_set1_ps(3.787816309e-05f);
  q = _mm512_fmadd_ps(q, u, _mm512_set1_ps(1.179592552e-03f));
  q = _mm512_fmadd_ps(q, u, _mm512_set1_ps(1.511929294e-02f));
  q = _mm512_fmadd_ps(q, u, _mm512_set1_ps(1.148617572e-01f));
  q = _mm512_fmadd_ps(q, u, _mm512_set1_ps(5.037294759e-01f));
  q = _mm512_fmadd_ps(q, u, _mm512_set1_ps(1.0f));
  return _mm512_mul_ps(z, _mm512_div_ps(p, q));
}

// max(0, x) keeps a NaN x: the instruction returns its second operand then.
inline __m512 relu_ps(__m512 x) { return _mm512_max_ps(_mm512_setzero_ps(), x); }

void relu(float* x, int64_t n) {
  for_vectors(n, [&](int64_t i, __mmask16 m) {
    _mm512_mask_storeu_ps(x + i, m, relu_ps(_mm512_maskz_loadu_ps(m, x + i)));
  });
}

void gelu(float* x, int64_t n) {
  const __m512 half = _mm512_set1_ps(0.5f);
  for_vectors(n, [&](int64_t i, __mmask16 m) {
    const __m512 v = _mm512_maskz_loadu_ps(m, x + i);
    const __m512 z = _mm512_mul_ps(v, _mm512_set1_ps(0.707106781186547524f));
    const __m512 h = _mm512_mul_ps(half, v);
    const __m512 inside = _mm512_fmadd_ps(h, erf_ps(z), h);
    const __mmask16 far = _mm512_cmp_ps_mask(_mm512_abs_ps(z), _mm512_set1_ps(kErfEnd), _CMP_GT_OQ);
    _mm512_mask_storeu_ps(x + i, m, _mm512_mask_blend_ps(far, inside, relu_ps(v)));
  });
}

// x·(1 + tanh(u))/2 = x/(1 + exp(−2u))
void gelu_tanh(float* x, int64_t n) {
  const __m512 one = _mm512_set1_ps(1.0f);
  for_vectors(n, [&](int64_t i, __mmask16 m) {
    const __m512 v = _mm512_maskz_loadu_ps(m, x + i);
    const __m512 cubic = _mm512_fmadd_ps(_mm512_mul_ps(v, v), _mm512_set1_ps(0.044715f), one);
    const __m512 e = exp_ps(_mm512_mul_ps(_mm512_mul_ps(v, cubic), _mm512_set1_ps(-1.59576912160573071f)));
    _mm512_mask_storeu_ps(x + i, m, _mm512_div_ps(v, _mm512_add_ps(one, e)));
  });
}

void silu_mul(float* gate, const float* up, int64_t n) {
  const __m512 one = _mm512_set1_ps(1.0f);
  for_vectors(n, [&](int64_t i, __mmask16 m) {
    const __m512 g = _mm512_maskz_loadu_ps(m, gate + i);
    const __m512 e = exp_ps(_mm512_sub_ps(_mm512_setzero_ps(), g));
    const __m512 v = _mm512_mul_ps(_mm512_div_ps(g, _mm512_add_ps(one, e)), _mm512_maskz_loadu_ps(m, up + i));
    _mm512_mask_storeu_ps(gate + i, m, v);
  });
}

void rope(float* x, const float* cos, const float* sin, int64_t half) {
  for_vectors(half, [&](int64_t i, __mmask16 m) {
    const __m512 a = _mm512_maskz_loadu_ps(m, x + i);
    const __m512 b = _mm512_maskz_loadu_ps(m, x + half + i);
    const __m512 c = _mm512_maskz_loadu_ps(m, cos + i);
    const __m512 s = _mm512_maskz_loadu_ps(m, sin + i);
    _mm512_mask_storeu_ps(x + i, m, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
    _mm512_mask_storeu_ps(x + half + i, m, _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s)));
  });
}

float max(const float* x, int64_t n) {
  __m512 best = _mm512_set1_ps(x[0]);
  for_vectors(n, [&](int64_t i, __mmask16 m) {
    best = _mm512_mask_max_ps(best, m, best, _mm512_maskz_loadu_ps(m, x + i));
  });
  return _mm512_reduce_max_ps(best);
}

float exp_sum(float* x, float shift, int64_t n) {
  const __m512 s = _mm512_set1_ps(shift);
  __m512 sum = _mm512_setzero_ps();
  for_vectors(n, [&](int64_t i, __mmask16 m) {
    const __m512 e = exp_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(m, x + i), s));
    _mm512_mask_storeu_ps(x + i, m, e);
    sum = _mm512_mask_add_ps(sum, m, sum, e);
  });
  return _mm512_reduce_add_ps(sum);
}

void scale(float alpha, float* x, int64_t n) {
  const __m512 a = _mm512_set1_ps(alpha);
  for_vectors(n, [&](int64_t i, __mmask16 m) {
    _mm512_mask_storeu_ps(x + i, m, _mm512_mul_ps(a, _mm512_maskz_loadu_ps(m, x + i)));
  });
}

}  // namespace

const VectorOps kVectorOpsAvx512 = {dot,
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
                                    attention_nt_avx512,
                                    attention_nt_bf16_avx512,
                                    attention_nn_avx512,
                                    attention_nn_bf16_avx512};

}  // namespace pare
