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

// Byte selectors by place code that bring the two kept values of a group, in the lanes of a step, to two
// steps of two columns, before the lane's own offset is added. Those of the second step follow the first's.
struct Selectors {
  alignas(64) uint32_t of[2][16];
};
constexpr Selectors make_selectors() {
  Selectors s{};
  for (uint32_t code = 0; code < 16; ++code)
    for (uint32_t column = 0; column < 4; ++column) {
      // Bytes 0, 1: the lower kept value; 2, 3: the higher one; 0x80: zero.
      const uint32_t bytes = column == (code & 3) ? 0x0100u : column == code >> 2 ? 0x0302u : 0x8080u;
      s.of[column / 2][code] |= bytes << (16 * (column % 2));
    }
  return s;
}
constexpr Selectors kSelectors = make_selectors();

class Spread {
 public:
  // Writes two steps, 128 bytes, from the pairs of a group and their places in the lowest four bits of lanes.
  void operator()(__m512i pairs, __m512i places, unsigned char* out) const {
    const __m512i first = _mm512_or_si512(_mm512_permutexvar_epi32(places, first_), lane_);
    const __m512i second = _mm512_or_si512(_mm512_permutexvar_epi32(places, second_), lane_);
    _mm512_storeu_si512(out, _mm512_shuffle_epi8(pairs, first));
    _mm512_storeu_si512(out + kStepBytes, _mm512_shuffle_epi8(pairs, second));
  }

 private:
  __m512i first_ = _mm512_load_si512(kSelectors.of[0]);
  __m512i second_ = _mm512_load_si512(kSelectors.of[1]);
  __m512i lane_ = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
};

// Widens a block of a 2:4 panel to a dense one of bf16.
template <PanelFormat kFormat>
void widen(const unsigned char* panel, int64_t slice, const unsigned char* /*levels*/, unsigned char* out) {
  constexpr PanelBlock kBlock = panel_block(kFormat);
  static_assert(kBlock.columns == kSliceColumns);
  const Spread spread;
  const unsigned char* step = panel + slice * kBlock.bytes;
  __m512i places = _mm512_loadu_si512(step);
#pragma GCC unroll 2
  for (int s = 0; s < kGroupsOfBlock / kGroupsOfStep<kFormat>; ++s) {
    step += kStepBytes;
    const __m512i raw = _mm512_loadu_si512(step);
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

}  // namespace

const PanelKernels kPanelAvx512Bf16Of4 = {
    .format = PanelFormat::kBF16Of4,
    .max_tokens = kStreamTokens,
    .gemv_tokens = kStreamTokens,
    .gemm_panels = 2,
    .gemm_columns = kL2Columns,
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
    .gemm_columns = kL2Columns,
    .run = run<PanelFormat::kInt8Of4>,
    .pack = pack_int8_of4,
    .wide_tokens = kStreamTokens + 1,
    .wide = &kPanelAvx512Bf16,
    .widen = widen<PanelFormat::kInt8Of4>,
};

}  // namespace pare
