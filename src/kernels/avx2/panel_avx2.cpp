// Register-tiled products over packed panels with AVX2 and FMA.
#include <immintrin.h>

#include "kernels/panel.h"

namespace pare {
namespace {

constexpr int kMaxTokens = 6;  // 6 × 2 accumulators of 8 lanes, 2 weight vectors, 1 broadcast
constexpr int64_t kPrefetchBytes = 8192;

// Sixteen outputs in two vectors; ragged panels go through a local copy.
inline void load16(const float* y, int64_t columns, __m256* a, __m256* b) {
  float local[16] = {};
  if (columns < 16) {
    for (int64_t i = 0; i < columns; ++i) local[i] = y[i];
    y = local;
  }
  *a = _mm256_loadu_ps(y);
  *b = _mm256_loadu_ps(y + 8);
}

inline void store16(float* y, int64_t columns, __m256 a, __m256 b) {
  if (columns >= 16) {
    _mm256_storeu_ps(y, a);
    _mm256_storeu_ps(y + 8, b);
    return;
  }
  float local[16];
  _mm256_storeu_ps(local, a);
  _mm256_storeu_ps(local + 8, b);
  for (int64_t i = 0; i < columns; ++i) y[i] = local[i];
}

template <bool kBf16, int T, int P>
void tile(const PanelJob& job, int64_t first) {
  const unsigned char* w = job.w + first * job.panel_bytes;
  float* y = job.y + first * kPanelRows;
  const int64_t columns = job.columns - first * kPanelRows;
  __m256 acc[T][2 * P];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      acc[t][2 * p] = acc[t][2 * p + 1] = _mm256_setzero_ps();
      if (job.accumulate)
        load16(y + t * job.y_stride + 16 * p, columns - 16 * p, &acc[t][2 * p], &acc[t][2 * p + 1]);
    }
  const float* x = job.x;
  const __m256i high_half = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  for (int64_t s = 0; s < job.steps; ++s, w += kStepBytes) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const unsigned char* step = w + p * job.panel_bytes;
      if (T <= 4) _mm_prefetch(reinterpret_cast<const char*>(step + kPrefetchBytes), _MM_HINT_T0);
      const __m256i raw0 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(step));
      const __m256i raw1 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(step + 32));
      __m256 v0 = _mm256_castsi256_ps(kBf16 ? _mm256_slli_epi32(raw0, 16) : raw0);
      __m256 v1 = _mm256_castsi256_ps(kBf16 ? _mm256_slli_epi32(raw1, 16) : raw1);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        const __m256 b = _mm256_broadcast_ss(x + t);
        acc[t][2 * p] = _mm256_fmadd_ps(v0, b, acc[t][2 * p]);
        acc[t][2 * p + 1] = _mm256_fmadd_ps(v1, b, acc[t][2 * p + 1]);
      }
      if constexpr (kBf16) {
        v0 = _mm256_castsi256_ps(_mm256_and_si256(raw0, high_half));
        v1 = _mm256_castsi256_ps(_mm256_and_si256(raw1, high_half));
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) {
          const __m256 b = _mm256_broadcast_ss(x + T + t);
          acc[t][2 * p] = _mm256_fmadd_ps(v0, b, acc[t][2 * p]);
          acc[t][2 * p + 1] = _mm256_fmadd_ps(v1, b, acc[t][2 * p + 1]);
        }
      }
    }
    x += kBf16 ? 2 * T : T;
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p)
      store16(y + t * job.y_stride + 16 * p, columns - 16 * p, acc[t][2 * p], acc[t][2 * p + 1]);
}

template <bool kBf16, int T, int P>
void all_panels(const PanelJob& job) {
  int64_t panel = 0;
  for (; panel + P <= job.panels; panel += P) tile<kBf16, T, P>(job, panel);
  for (; panel < job.panels; ++panel) tile<kBf16, T, 1>(job, panel);
}

template <bool kBf16>
void run(const PanelJob& job) {
  static constexpr void (*kTable[kMaxTokens])(const PanelJob&) = {
      all_panels<kBf16, 1, 4>, all_panels<kBf16, 2, 2>, all_panels<kBf16, 3, 2>,
      all_panels<kBf16, 4, 1>, all_panels<kBf16, 5, 1>, all_panels<kBf16, 6, 1>};
  kTable[job.tokens - 1](job);
}

}  // namespace

const PanelKernels kPanelAvx2F32 = {kMaxTokens, 4, 1, run<false>};
const PanelKernels kPanelAvx2Bf16 = {kMaxTokens, 4, 1, run<true>};

}  // namespace pare
