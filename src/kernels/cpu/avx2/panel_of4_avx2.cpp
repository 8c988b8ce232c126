// Register-tiled products over packed 2:4 panels with AVX2 and FMA: a permute picks each kept value's input.
#include <immintrin.h>

#include "kernels/cpu/avx2/lanes.h"
#include "kernels/cpu/panel.h"

namespace pare {
namespace {

constexpr int kMaxTokens = 5;     // 5 × 2 accumulators of 8 lanes, 2 of values, 2 of selectors
constexpr int kStreamTokens = 4;  // up to here the weights come from memory and are fetched ahead
constexpr int64_t kPrefetchBytes = 32768;
constexpr int kGroupsOfBlock = 8;

template <PanelFormat kFormat>
constexpr int kGroupsOfStep = kFormat == PanelFormat::kBF16Of4 ? 1 : 2;

// T tokens × P panels in registers over all inputs of the job: panels first, first + apart, ...
template <PanelFormat kFormat, int T, int P>
void tile(const PanelJob& job, int64_t first, int64_t apart) {
  const unsigned char* w = job.w + first * job.panel_bytes;
  const int64_t w_apart = apart * job.panel_bytes;
  float* y = job.y + first * kPanelRows;
  const int64_t y_apart = apart * kPanelRows;
  const int64_t columns = job.columns - first * kPanelRows;
  __m256 acc[T][2 * P];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const Sixteen old = load16(job.accumulate, y + t * job.y_stride + y_apart * p, columns - y_apart * p);
      acc[t][2 * p] = old.low;
      acc[t][2 * p + 1] = old.high;
    }
  const float* x = job.x;
  const unsigned char* block = w;
  for (int64_t k = 0; k < job.inputs; k += kGroupsOfBlock * kGroup) {
#pragma GCC unroll 8
    for (int s = 0; s < kGroupsOfBlock / kGroupsOfStep<kFormat>; ++s) {
#pragma GCC unroll 8
      for (int h = 0; h < 2 * P; ++h) {  // half panels
        const unsigned char* places_at = block + h / 2 * w_apart + h % 2 * 32;
        const unsigned char* step = places_at + (1 + s) * kStepBytes;
        if (T <= kStreamTokens && h % 2 == 0) {
          _mm_prefetch(reinterpret_cast<const char*>(step + kPrefetchBytes), _MM_HINT_T1);
          if (s == 0) _mm_prefetch(reinterpret_cast<const char*>(places_at + kPrefetchBytes), _MM_HINT_T1);
        }
        const __m256i places = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(places_at));
        const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(step));
#pragma GCC unroll 2
        for (int g = 0; g < kGroupsOfStep<kFormat>; ++g) {
          const __m256 lower = lane_value<kFormat>(raw, 2 * g);
          const __m256 higher = lane_value<kFormat>(raw, 2 * g + 1);
          // The lowest two bits of a lane of `place` select.
          const __m256i place = _mm256_srli_epi32(places, 4 * (s * kGroupsOfStep<kFormat> + g));
          const __m256i higher_place = _mm256_srli_epi32(places, 4 * (s * kGroupsOfStep<kFormat> + g) + 2);
#pragma GCC unroll 8
          for (int t = 0; t < T; ++t) {
            const __m256 group =
                _mm256_broadcast_ps(reinterpret_cast<const __m128*>(x + (g * T + t) * kGroup));
            acc[t][h] = _mm256_fmadd_ps(lower, _mm256_permutevar_ps(group, place), acc[t][h]);
            acc[t][h] = _mm256_fmadd_ps(higher, _mm256_permutevar_ps(group, higher_place), acc[t][h]);
          }
        }
      }
      x += kGroupsOfStep<kFormat> * kGroup * T;
    }
    block += panel_block(kFormat).bytes;
  }
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) {
    const Sixteen scales = scales_of<kFormat>(job, first + apart * p);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t)
      store16(y + t * job.y_stride + y_apart * p, columns - y_apart * p,
              _mm256_mul_ps(acc[t][2 * p], scales.low), _mm256_mul_ps(acc[t][2 * p + 1], scales.high));
  }
}

template <PanelFormat kFormat, int T, int P>
void all_panels(const PanelJob& job) {
  const int64_t apart = job.panels / P;
  for (int64_t panel = 0; panel < apart; ++panel) tile<kFormat, T, P>(job, panel, apart);
  for (int64_t panel = apart * P; panel < job.panels; ++panel) tile<kFormat, T, 1>(job, panel, 0);
}

template <PanelFormat kF>
void run(const PanelJob& job) {
  static constexpr void (*kTable[kMaxTokens])(const PanelJob&) = {all_panels<kF, 1, 4>, all_panels<kF, 2, 2>,
                                                                  all_panels<kF, 3, 1>, all_panels<kF, 4, 1>,
                                                                  all_panels<kF, 5, 1>};
  kTable[job.tokens - 1](job);
}

}  // namespace

const PanelKernels kPanelAvx2Bf16Of4 = {
    .format = PanelFormat::kBF16Of4,
    .max_tokens = kMaxTokens,
    .gemv_tokens = kStreamTokens,
    .gemm_panels = 1,
    .gemm_columns = kL1Columns,
    .run = run<PanelFormat::kBF16Of4>,
    .pack = pack_bf16_of4,
};
const PanelKernels kPanelAvx2Int8Of4 = {
    .format = PanelFormat::kInt8Of4,
    .max_tokens = kMaxTokens,
    .gemv_tokens = kStreamTokens,
    .gemm_panels = 1,
    .gemm_columns = kL1Columns,
    .run = run<PanelFormat::kInt8Of4>,
    .pack = pack_int8_of4,
};

}  // namespace pare
