// Register-tiled products over packed 2:4 panels with AVX-512: a permute picks each kept value's input.
#include <immintrin.h>

#include "kernels/cpu/avx512/bf16_pairs.h"
#include "kernels/cpu/avx512/column_mask.h"
#include "kernels/cpu/panel.h"

namespace pare {
namespace {

constexpr int kStreamTokens = 8;  // more of them take a widened panel
constexpr int64_t kPrefetchBytes = 32768;
constexpr int kGroupsOfBlock = 8;

template <PanelFormat kFormat>
constexpr int kGroupsOfStep = kFormat == PanelFormat::kBF16Of4 ? 1 : 2;
// Factor of int8 values as held: converting a byte in the uppermost place saves its sign extension.
template <PanelFormat kFormat>
constexpr float kUnit = kFormat == PanelFormat::kBF16Of4 ? 1.0f : 0x1p24f;

// Byte j of every lane in its uppermost place, zeros below.
inline __m512i byte_on_top(__m512i raw, int j) {
  if (j == 0) return _mm512_slli_epi32(raw, 24);
  if (j == 3) return _mm512_and_si512(raw, _mm512_set1_epi32(static_cast<int>(0xff000000u)));
  const int c = static_cast<int>(0x00808080u) + j * 0x01000000;
  return _mm512_shuffle_epi8(raw, _mm512_set4_epi32(c + 0x0c000000, c + 0x08000000, c + 0x04000000, c));
}

// Kept value j of a step times kUnit, one a lane.
template <PanelFormat kFormat>
inline __m512 value(__m512i raw, int j) {
  if constexpr (kFormat == PanelFormat::kBF16Of4)
    return _mm512_castsi512_ps(j == 0
                                   ? _mm512_slli_epi32(raw, 16)
                                   : _mm512_and_si512(raw, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
  else
    return _mm512_cvtepi32_ps(byte_on_top(raw, j));
}

// T tokens × P panels in registers over all inputs of the job: panels first, first + apart, ...
template <PanelFormat kFormat, int T, int P>
void tile(const PanelJob& job, int64_t first, int64_t apart) {
  const unsigned char* w = job.w + first * job.panel_bytes;
  const int64_t w_apart = apart * job.panel_bytes;
  float* y = job.y + first * kPanelRows;
  const int64_t y_apart = apart * kPanelRows;
  const int64_t columns = job.columns - first * kPanelRows;
  __m512 acc[T][P];
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p)
      acc[t][p] = job.accumulate ? _mm512_maskz_loadu_ps(column_mask(columns - y_apart * p),
                                                         y + t * job.y_stride + y_apart * p)
                                 : _mm512_setzero_ps();
  const auto fetch_ahead = [&] {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p)
      _mm_prefetch(reinterpret_cast<const char*>(w + p * w_apart + kPrefetchBytes), _MM_HINT_T1);
    w += kStepBytes;
  };
  const float* x = job.x;
  for (int64_t k = 0; k < job.inputs; k += kGroupsOfBlock * kGroup) {
    __m512i places[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) places[p] = _mm512_loadu_si512(w + p * w_apart);
    fetch_ahead();
    for (int s = 0; s < kGroupsOfBlock / kGroupsOfStep<kFormat>; ++s) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const __m512i raw = _mm512_loadu_si512(w + p * w_apart);
#pragma GCC unroll 2
        for (int g = 0; g < kGroupsOfStep<kFormat>; ++g) {
          const __m512 lower = value<kFormat>(raw, 2 * g);
          const __m512 higher = value<kFormat>(raw, 2 * g + 1);
          const __m512i place = places[p];  // the lowest two bits of a lane select
          const __m512i higher_place = _mm512_srli_epi32(place, 2);
          places[p] = _mm512_srli_epi32(place, 4);
#pragma GCC unroll 16
          for (int t = 0; t < T; ++t) {
            const __m512 group = _mm512_broadcast_f32x4(_mm_loadu_ps(x + (g * T + t) * kGroup));
            acc[t][p] = _mm512_fmadd_ps(lower, _mm512_permutevar_ps(group, place), acc[t][p]);
            acc[t][p] = _mm512_fmadd_ps(higher, _mm512_permutevar_ps(group, higher_place), acc[t][p]);
          }
        }
      }
      x += kGroupsOfStep<kFormat> * kGroup * T;
      fetch_ahead();
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) {
    const __mmask16 mask = column_mask(columns - y_apart * p);
    // Sums that are not finished yet stay times kUnit.
    const __m512 scale = job.scales == nullptr
                             ? _mm512_set1_ps(1.0f)
                             : _mm512_mul_ps(_mm512_loadu_ps(job.scales + (first + apart * p) * kPanelRows),
                                             _mm512_set1_ps(1.0f / kUnit<kFormat>));
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t)
      _mm512_mask_storeu_ps(y + t * job.y_stride + y_apart * p, mask, _mm512_mul_ps(acc[t][p], scale));
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
  static constexpr void (*kTable[kStreamTokens])(const PanelJob&) = {
      all_panels<kF, 1, 4>, all_panels<kF, 2, 4>, all_panels<kF, 3, 4>, all_panels<kF, 4, 4>,
      all_panels<kF, 5, 2>, all_panels<kF, 6, 2>, all_panels<kF, 7, 2>, all_panels<kF, 8, 2>};
  kTable[job.tokens - 1](job);
}

// The two kept bf16 values of a group, low and high half of a lane, at their places among its four columns:
// two words of two columns. A shift by 32 and more, as of a negative count, leaves nothing.
inline void spread(__m512i kept, __m512i places, unsigned char* out) {
  const __m512i low = _mm512_and_si512(kept, _mm512_set1_epi32(0xffff));
  const __m512i high = _mm512_srli_epi32(kept, 16);
  const __m512i low_bit = _mm512_slli_epi32(_mm512_and_si512(places, _mm512_set1_epi32(3)), 4);
  const __m512i high_bit = _mm512_slli_epi32(_mm512_and_si512(places, _mm512_set1_epi32(12)), 2);
  const __m512i word = _mm512_set1_epi32(32);
  _mm512_storeu_si512(out,
                      _mm512_or_si512(_mm512_sllv_epi32(low, low_bit), _mm512_sllv_epi32(high, high_bit)));
  _mm512_storeu_si512(out + kStepBytes,
                      _mm512_or_si512(_mm512_sllv_epi32(low, _mm512_sub_epi32(low_bit, word)),
                                      _mm512_sllv_epi32(high, _mm512_sub_epi32(high_bit, word))));
}

// Widens a 2:4 panel to a dense one of bf16.
template <PanelFormat kFormat>
void widen(const unsigned char* panel, int64_t columns, const unsigned char* /*levels*/, unsigned char* out) {
  for (int64_t k = 0; k < columns; k += kGroupsOfBlock * kGroup) {
    __m512i places = _mm512_loadu_si512(panel);
    panel += kStepBytes;
    for (int s = 0; s < kGroupsOfBlock / kGroupsOfStep<kFormat>; ++s, panel += kStepBytes) {
      const __m512i raw = _mm512_loadu_si512(panel);
#pragma GCC unroll 2
      for (int g = 0; g < kGroupsOfStep<kFormat>; ++g, out += 2 * kStepBytes) {
        __m512i kept = raw;
        if constexpr (kFormat == PanelFormat::kInt8Of4) {
          const auto number = [&](int j) {
            return _mm512_cvtepi32_ps(_mm512_srai_epi32(byte_on_top(raw, j), 24));
          };
          kept = exact_pairs(number(2 * g), number(2 * g + 1));
        }
        spread(kept, places, out);
        places = _mm512_srli_epi32(places, 4);
      }
    }
  }
}

}  // namespace

const PanelKernels kPanelAvx512Bf16Of4 = {
    .format = PanelFormat::kBF16Of4,
    .max_tokens = kStreamTokens,
    .gemv_tokens = kStreamTokens,
    .gemm_panels = 2,
    .run = run<PanelFormat::kBF16Of4>,
    .pack = pack_bf16_of4,
    .wide_tokens = kStreamTokens + 1,
    .wide = &kPanelAvx512Bf16,
    .widen = widen<PanelFormat::kBF16Of4>,
};
const PanelKernels kPanelAvx512Int8Of4 = {
    .format = PanelFormat::kInt8Of4,
    .max_tokens = kStreamTokens,
    .gemv_tokens = kStreamTokens,
    .gemm_panels = 2,
    .run = run<PanelFormat::kInt8Of4>,
    .pack = pack_int8_of4,
    .wide_tokens = kStreamTokens + 1,
    .wide = &kPanelAvx512Bf16,
    .widen = widen<PanelFormat::kInt8Of4>,
};

}  // namespace pare
