// The specification of the vector operations: plain loops, f64 sums.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/bf16.h"
#include "kernels/cpu/vector_ops_tables.h"

namespace pare {
namespace {

// Returns the value of f32 or of the bits of bf16.
double value_of(float b) { return b; }
double value_of(uint16_t b) { return to_f32(bf16{b}); }

template <typename T>
float dot(const float* a, const T* b, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * value_of(b[i]);
  return static_cast<float>(sum);
}

void axpy(float alpha, const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += alpha * x[i];
}

void add(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += x[i];
}

void rms_norm(const float* x, const float* weight, float divisor, float eps, float* out, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  const double scale = 1.0 / std::sqrt(sum / static_cast<double>(divisor) + static_cast<double>(eps));
  for (int64_t i = 0; i < n; ++i)
    out[i] = static_cast<float>(static_cast<double>(x[i]) * scale *
                                (weight ? static_cast<double>(weight[i]) : 1.0));
}

void layer_norm(const float* x, const float* weight, const float* bias, float divisor, float eps, float* out,
                int64_t n) {
  double mean = 0.0;
  for (int64_t i = 0; i < n; ++i) mean += static_cast<double>(x[i]);
  mean /= static_cast<double>(n);
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    const double d = static_cast<double>(x[i]) - mean;
    sum += d * d;
  }
  const double scale = 1.0 / std::sqrt(sum / static_cast<double>(divisor) + static_cast<double>(eps));
  for (int64_t i = 0; i < n; ++i)
    out[i] = static_cast<float>((static_cast<double>(x[i]) - mean) * scale *
                                    (weight ? static_cast<double>(weight[i]) : 1.0) +
                                (bias ? static_cast<double>(bias[i]) : 0.0));
}

// x < 0 ? 0 : x keeps a NaN.
void relu(float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = x[i] < 0.0f ? 0.0f : x[i];
}

void gelu(float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const double v = x[i];
    x[i] = static_cast<float>(0.5 * v * std::erfc(-v * std::numbers::sqrt2 / 2.0));
  }
}

// x·(1 + tanh(u))/2 = x/(1 + exp(−2u))
void gelu_tanh(float* x, int64_t n) {
  const double factor = std::sqrt(8.0 / std::numbers::pi);
  for (int64_t i = 0; i < n; ++i) {
    const double v = x[i];
    x[i] = static_cast<float>(v / (1.0 + std::exp(-factor * (v + 0.044715 * v * v * v))));
  }
}

void silu_mul(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const double g = gate[i];
    gate[i] = static_cast<float>(g / (1.0 + std::exp(-g)) * static_cast<double>(up[i]));
  }
}

void rope(float* x, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = a * cos[i] - b * sin[i];
    x[i + half] = b * cos[i] + a * sin[i];
  }
}

float max(const float* x, int64_t n) { return *std::max_element(x, x + n); }

float exp_sum(float* x, float shift, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    x[i] = static_cast<float>(std::exp(static_cast<double>(x[i] - shift)));
    sum += static_cast<double>(x[i]);
  }
  return static_cast<float>(sum);
}

void scale(float alpha, float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] *= alpha;
}

template <typename T>
void gemm_nt(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const T* b,
             int64_t ldb, float* c, int64_t ldc) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) c[i * ldc + j] = alpha * dot(a + i * lda, b + j * ldb, k);
}

template <typename T>
void gemm_nn(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const T* b, int64_t ldb, float* c,
             int64_t ldc) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = c[i * ldc + j];
      for (int64_t l = 0; l < k; ++l) sum += static_cast<double>(a[i * lda + l]) * value_of(b[l * ldb + j]);
      c[i * ldc + j] = static_cast<float>(sum);
    }
}

}  // namespace

const VectorOps kVectorOpsReference = {dot,   axpy,      add,      rms_norm, layer_norm, relu,
                                       gelu,  gelu_tanh, silu_mul, rope,     max,        exp_sum,
                                       scale, gemm_nt,   gemm_nt,  gemm_nn,  gemm_nn};

}  // namespace pare
