// Register-tiled products over packed panels with AVX-512.
#include <immintrin.h>

#include "kernels/cpu/avx512/column_mask.h"
#include "kernels/cpu/avx512/transpose.h"
#include "kernels/cpu/panel.h"

namespace pare {
namespace {

constexpr int kMaxTokens = 14;    // 14 × 2 accumulators, 2 weight vectors
constexpr int kStreamTokens = 8;  // up to here the weights come from memory and are fetched ahead
constexpr int64_t kPrefetchBytes = 32768;

// Columns of a step.
template <PanelFormat kFormat>
constexpr int kColumns = kFormat == PanelFormat::kF32    ? 1
                         : kFormat == PanelFormat::kBF16 ? 2
                                                         : 4;

// Column j of a step, one value a lane.
template <PanelFormat kFormat>
inline __m512 column(__m512i raw, int j) {
  if constexpr (kFormat == PanelFormat::kF32) {
    return _mm512_castsi512_ps(raw);
  } else if constexpr (kFormat == PanelFormat::kBF16) {
    return _mm512_castsi512_ps(j == 0
                                   ? _mm512_slli_epi32(raw, 16)
                                   : _mm512_and_si512(raw, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
  } else {
    const __m512i high = j == 3 ? raw : _mm512_sllv_epi32(raw, _mm512_set1_epi32(24 - 8 * j));
    return _mm512_cvtepi32_ps(_mm512_srai_epi32(high, 24));
  }
}

// T tokens × P panels in registers over all steps of the job: panels first, first + apart, ... P streams that
// are far from each other use more of the memory's bandwidth than neighbours would.
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
  const float* x = job.x;
  for (int64_t s = 0; s < job.inputs / kColumns<kFormat>; ++s) {
    __m512i raw[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      raw[p] = _mm512_loadu_si512(w + p * w_apart);
      if (T <= kStreamTokens)
        _mm_prefetch(reinterpret_cast<const char*>(w + p * w_apart + kPrefetchBytes), _MM_HINT_T1);
    }
    w += kStepBytes;
#pragma GCC unroll 4
    for (int j = 0; j < kColumns<kFormat>; ++j) {
      __m512 v[P];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) v[p] = column<kFormat>(raw[p], j);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p)
          acc[t][p] = _mm512_fmadd_ps(v[p], _mm512_set1_ps(x[j * T + t]), acc[t][p]);
    }
    x += kColumns<kFormat> * T;
  }
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) {
    const __mmask16 mask = column_mask(columns - y_apart * p);
    const __m512 scale = job.scales == nullptr
                             ? _mm512_set1_ps(1.0f)
                             : _mm512_loadu_ps(job.scales + (first + apart * p) * kPanelRows);
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
  static constexpr void (*kTable[kMaxTokens])(const PanelJob&) = {
      all_panels<kF, 1, 4>,  all_panels<kF, 2, 4>,  all_panels<kF, 3, 4>,  all_panels<kF, 4, 4>,
      all_panels<kF, 5, 4>,  all_panels<kF, 6, 4>,  all_panels<kF, 7, 2>,  all_panels<kF, 8, 2>,
      all_panels<kF, 9, 2>,  all_panels<kF, 10, 2>, all_panels<kF, 11, 2>, all_panels<kF, 12, 2>,
      all_panels<kF, 13, 2>, all_panels<kF, 14, 2>};
  kTable[job.tokens - 1](job);
}

void pack_f32(float* rows, int64_t columns, unsigned char* panel) {
  for (int64_t k = 0; k < columns; k += 16) {
    const __mmask16 mask = column_mask(columns - k);
    __m512 v[16];
    for (int r = 0; r < 16; ++r) v[r] = _mm512_maskz_loadu_ps(mask, rows + r * columns + k);
    transpose16(v);
    for (int64_t s = 0; s < 16 && k + s < columns; ++s)
      _mm512_store_ps(reinterpret_cast<float*>(panel + (k + s) * kStepBytes), v[s]);
  }
}

inline void store_tile(__m512* v, unsigned char* tile_bytes) {
  transpose16(v);
#pragma GCC unroll 16
  for (int s = 0; s < 16; ++s) _mm512_store_ps(reinterpret_cast<float*>(tile_bytes + s * kStepBytes), v[s]);
}

void pack_bf16(float* rows, int64_t columns, unsigned char* panel) {
  for (int64_t k = 0; k < columns; k += 32, panel += kTileBytes) {
    __m512 v[16];
    for (int r = 0; r < 16; ++r) {
      const float* row = rows + r * columns + k;
      v[r] = reinterpret_cast<__m512>(_mm512_cvtne2ps_pbh(_mm512_loadu_ps(row + 16), _mm512_loadu_ps(row)));
    }
    store_tile(v, panel);
  }
}

void pack_int8(float* rows, int64_t columns, unsigned char* panel) {
  for (int64_t k = 0; k < columns; k += 64, panel += kTileBytes) {
    __m512 v[16];
    for (int r = 0; r < 16; ++r) {
      const float* row = rows + r * columns + k;
      __m512i bytes = _mm512_setzero_si512();
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const __m128i part = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_loadu_ps(row + 16 * i)));
        bytes = _mm512_mask_broadcast_i32x4(bytes, static_cast<__mmask16>(0xf << (4 * i)), part);
      }
      v[r] = _mm512_castsi512_ps(bytes);
    }
    store_tile(v, panel);
  }
}

}  // namespace

const PanelKernels kPanelAvx512F32 = {
    .format = PanelFormat::kF32,
    .max_tokens = kMaxTokens,
    .gemv_tokens = kStreamTokens,
    .gemm_panels = 2,
    .run = run<PanelFormat::kF32>,
    .pack = pack_f32,
};
const PanelKernels kPanelAvx512Bf16 = {
    .format = PanelFormat::kBF16,
    .max_tokens = kMaxTokens,
    .gemv_tokens = kStreamTokens,
    .gemm_panels = 2,
    .run = run<PanelFormat::kBF16>,
    .pack = pack_bf16,
};
const PanelKernels kPanelAvx512Int8 = {
    .format = PanelFormat::kInt8,
    .max_tokens = kMaxTokens,
    .gemv_tokens = kStreamTokens,
    .gemm_panels = 2,
    .run = run<PanelFormat::kInt8>,
    .pack = pack_int8,
};

}  // namespace pare
