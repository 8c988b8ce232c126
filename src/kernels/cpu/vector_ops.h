// Small operations between linears: one table of function pointers per instruction set.
#pragma once

#include <cstdint>

namespace pare {

enum class Isa;

// All pointers are f32, unaligned, and may not overlap unless stated. Nothing allocates or throws.
struct VectorOps {
  float (*dot)(const float* a, const float* b, int64_t n);
  void (*axpy)(float alpha, const float* x, float* y, int64_t n);  // y += alpha·x
  void (*add)(const float* x, float* y, int64_t n);                // y += x
  // out[i] = x[i] · rsqrt(Σx²/divisor + eps) · weight[i]; weight may be null (ones); out may be x.
  void (*rms_norm)(const float* x, const float* weight, float divisor, float eps, float* out, int64_t n);
  // out[i] = (x[i] − m) · rsqrt(Σ(x − m)²/divisor + eps) · weight[i] + bias[i], m the mean of x; weight may
  // be null (ones), bias too (zeros); out may be x.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float divisor, float eps,
                     float* out, int64_t n);
  void (*relu)(float* x, int64_t n);  // in place, as the two that follow
  // x·(1 + erf(x/√2))/2, erf within 8·2^-24 of exact.
  void (*gelu)(float* x, int64_t n);
  // x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2
  void (*gelu_tanh)(float* x, int64_t n);
  // gate[i] = silu(gate[i]) · up[i]
  void (*silu_mul)(float* gate, const float* up, int64_t n);
  // Rotates pairs (x[i], x[i + half]) by (cos[i], sin[i]), i < half: the "rotate half" layout.
  void (*rope)(float* x, const float* cos, const float* sin, int64_t half);
  float (*max)(const float* x, int64_t n);  // n >= 1
  // x[i] = exp(x[i] − shift); returns their sum. exp within 2 ulp of exact, exp(−inf) = 0.
  float (*exp_sum)(float* x, float shift, int64_t n);
  void (*scale)(float alpha, float* x, int64_t n);  // x *= alpha
  // C(m, n) = alpha · A(m, k)·B(n, k)ᵀ; leading dimensions in elements. Attention scores. B in f32, and in
  // bf16.
  void (*gemm_nt)(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
                  int64_t ldb, float* c, int64_t ldc);
  void (*gemm_nt_bf16)(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                       const uint16_t* b, int64_t ldb, float* c, int64_t ldc);
  // C(m, n) += A(m, k)·B(k, n). Attention values.
  void (*gemm_nn)(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb,
                  float* c, int64_t ldc);
  void (*gemm_nn_bf16)(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const uint16_t* b,
                       int64_t ldb, float* c, int64_t ldc);
};

// Return the table of an instruction set (which the machine must have), and that of active_isa().
const VectorOps& vector_ops(Isa isa);
const VectorOps& vector_ops();

}  // namespace pare
