// Register-tiled products over packed panels with AVX-512.
#include <immintrin.h>

#include "kernels/panel.h"

namespace pare {
namespace {

constexpr int kMaxTokens = 14;  // 14 × 2 accumulators, 2 weight vectors
constexpr int64_t kPrefetchBytes = 8192;

inline __mmask16 column_mask(int64_t columns) {
  return columns >= 16 ? static_cast<__mmask16>(0xffff)
                       : static_cast<__mmask16>((1u << (columns > 0 ? columns : 0)) - 1u);
}

// T tokens × P panels in registers over all steps of the job, starting at panel `first`.
template <bool kBf16, int T, int P>
void tile(const PanelJob& job, int64_t first) {
  const unsigned char* w = job.w + first * job.panel_bytes;
  float* y = job.y + first * kPanelRows;
  const int64_t columns = job.columns - first * kPanelRows;
  __m512 acc[T][P];
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p)
      acc[t][p] = job.accumulate
                      ? _mm512_maskz_loadu_ps(column_mask(columns - 16 * p), y + t * job.y_stride + 16 * p)
                      : _mm512_setzero_ps();
  const float* x = job.x;
  const __m512i high_half = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  for (int64_t s = 0; s < job.steps; ++s) {
    __m512i raw[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      raw[p] = _mm512_loadu_si512(w + p * job.panel_bytes);
      if (T <= 8)
        _mm_prefetch(reinterpret_cast<const char*>(w + p * job.panel_bytes + kPrefetchBytes), _MM_HINT_T0);
    }
    w += kStepBytes;
    if constexpr (kBf16) {
      __m512 v[P];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) v[p] = _mm512_castsi512_ps(_mm512_slli_epi32(raw[p], 16));
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) acc[t][p] = _mm512_fmadd_ps(v[p], _mm512_set1_ps(x[t]), acc[t][p]);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) v[p] = _mm512_castsi512_ps(_mm512_and_si512(raw[p], high_half));
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) acc[t][p] = _mm512_fmadd_ps(v[p], _mm512_set1_ps(x[T + t]), acc[t][p]);
      x += 2 * T;
    } else {
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p)
          acc[t][p] = _mm512_fmadd_ps(_mm512_castsi512_ps(raw[p]), _mm512_set1_ps(x[t]), acc[t][p]);
      x += T;
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p)
      _mm512_mask_storeu_ps(y + t * job.y_stride + 16 * p, column_mask(columns - 16 * p), acc[t][p]);
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
      all_panels<kBf16, 1, 4>,  all_panels<kBf16, 2, 4>,  all_panels<kBf16, 3, 4>,  all_panels<kBf16, 4, 4>,
      all_panels<kBf16, 5, 4>,  all_panels<kBf16, 6, 4>,  all_panels<kBf16, 7, 2>,  all_panels<kBf16, 8, 2>,
      all_panels<kBf16, 9, 2>,  all_panels<kBf16, 10, 2>, all_panels<kBf16, 11, 2>, all_panels<kBf16, 12, 2>,
      all_panels<kBf16, 13, 2>, all_panels<kBf16, 14, 2>};
  kTable[job.tokens - 1](job);
}

}  // namespace

const PanelKernels kPanelAvx512F32 = {kMaxTokens, 8, 2, run<false>};
const PanelKernels kPanelAvx512Bf16 = {kMaxTokens, 8, 2, run<true>};

}  // namespace pare
